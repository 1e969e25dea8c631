// A hub over a typed transport in memory: each stream is a script of the test's, time is turned by
// hand, and frames of the screen come when the test says so.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { JobSchema, JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import {
  JobService,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "../src/gen/sentinel/jobs/v1/job_service_pb";
import { LiveHub } from "../src/live/hub";

export const A = "01900000-0000-7000-8000-00000000000a";
export const B = "01900000-0000-7000-8000-00000000000b";

type Event = NonNullable<MessageInitShape<typeof WatchResponseSchema>["event"]>;
type Step = { frame: WatchResponse } | { end: true } | { error: Error };

/** One stream as the server sees it. */
export class Stream {
  #steps: Step[] = [];
  #wake: () => void = () => undefined;
  constructor(
    readonly request: WatchRequest,
    readonly signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => this.#push({ end: true }));
  }
  get ids(): string[] {
    return this.request.selector.case === "jobs" ? this.request.selector.value.ids : [];
  }
  send(event: Event, cursor = ""): void {
    this.#push({ frame: create(WatchResponseSchema, { event, cursor }) });
  }
  snapshot(jobs: readonly ReturnType<typeof job>[], cursor = "", unknownIds: string[] = []): void {
    this.send({ case: "snapshot", value: { jobs: [...jobs], unknownIds } }, cursor);
  }
  end(): void {
    this.#push({ end: true });
  }
  fail(error: Error): void {
    this.#push({ error });
  }
  #push(step: Step): void {
    this.#steps.push(step);
    this.#wake();
  }
  async *frames(): AsyncGenerator<WatchResponse> {
    for (;;) {
      const step = this.#steps.shift();
      if (step === undefined) await new Promise<void>((wake) => (this.#wake = wake));
      else if ("frame" in step) yield step.frame;
      else if ("error" in step) throw step.error;
      else return;
    }
  }
}

export const job = (id: string, state: JobState, version = 1n, done?: bigint) =>
  create(JobSchema, {
    id,
    state,
    version,
    attempt: 1,
    run: 1,
    spec: { queue: "q", kind: "k" },
    ...(done !== undefined && { progress: { done, total: 10n, seq: done } }),
  });

interface Timer {
  at: number;
  run: () => void;
}

export class Scene {
  readonly streams: Stream[] = [];
  readonly hub: LiveHub;
  #timers = new Set<Timer>();
  #frames: (() => void)[] = [];
  now = 0;

  constructor() {
    const transport = createRouterTransport(({ service }) =>
      service(JobService, {
        watch: (request, { signal }) => {
          const stream = new Stream(request, signal);
          this.streams.push(stream);
          return stream.frames();
        },
      }),
    );
    const jobs = createClient(JobService, transport);
    this.hub = new LiveHub((request, options) => jobs.watch(request, options), {
      after: (ms, run) => {
        const timer = { at: this.now + ms, run };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
      frame: (run) => void this.#frames.push(run),
      random: () => 1,
      now: () => this.now,
    });
  }

  /** Lets time pass, running what falls due in order. */
  pass(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers]
        .filter(({ at }) => at <= until)
        .sort((one, two) => one.at - two.at);
      if (!next) break;
      this.#timers.delete(next);
      this.now = next.at;
      next.run();
    }
    this.now = until;
  }

  /** Draws a frame of the screen. */
  draw(): void {
    for (const run of this.#frames.splice(0)) run();
  }

  /** The newest stream, once there are so many. */
  async stream(count: number): Promise<Stream> {
    await until(() => this.streams.length >= count, `${count} streams, not ${this.streams.length}`);
    return this.streams[count - 1]!;
  }
}

/** Lets everything that is on its way arrive, until it holds. */
export async function until(holds: () => boolean, what = "the condition"): Promise<void> {
  const end = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited 15 s for ${what}`);
    await new Promise((next) => setImmediate(next));
  }
}

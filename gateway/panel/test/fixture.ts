// A LiveHub over an in-memory transport. The test plays the server and controls time and frames.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { JobSchema, type JobState } from "../src/gen/sentinel/jobs/v1/job_pb";
import {
  JobService,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "../src/gen/sentinel/jobs/v1/job_service_pb";
import { type Environment, LiveHub, type Watch } from "../src/live/hub";

export const A = "01900000-0000-7000-8000-00000000000a";
export const B = "01900000-0000-7000-8000-00000000000b";

type Event = NonNullable<MessageInitShape<typeof WatchResponseSchema>["event"]>;
type Step = { response: WatchResponse } | { end: true } | { error: Error };

/** The server's side of one Watch stream. */
export class ServerStream {
  #steps: Step[] = [];
  #onStep: () => void = () => undefined;
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
    this.#push({ response: create(WatchResponseSchema, { event, cursor }) });
  }
  sendSnapshot(
    jobs: readonly ReturnType<typeof job>[],
    cursor = "",
    unknownIds: string[] = [],
  ): void {
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
    this.#onStep();
  }
  async *responses(): AsyncGenerator<WatchResponse> {
    for (;;) {
      const step = this.#steps.shift();
      if (step === undefined) {
        await new Promise<void>((resolve) => {
          this.#onStep = resolve;
        });
      } else if ("response" in step) yield step.response;
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

export class HubFixture {
  readonly streams: ServerStream[] = [];
  readonly hub: LiveHub;
  readonly environment: Environment;
  readonly watch: Watch;
  #timers = new Set<Timer>();
  #frameCallbacks: (() => void)[] = [];
  now = 0;

  constructor() {
    const transport = createRouterTransport(({ service }) =>
      service(JobService, {
        watch: (request, { signal }) => {
          const stream = new ServerStream(request, signal);
          this.streams.push(stream);
          return stream.responses();
        },
      }),
    );
    const jobs = createClient(JobService, transport);
    this.watch = (request, options) => jobs.watch(request, options);
    this.environment = {
      after: (ms, run) => {
        const timer = { at: this.now + ms, run };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
      onNextFrame: (run) => void this.#frameCallbacks.push(run),
      random: () => 1,
      now: () => this.now,
    };
    this.hub = new LiveHub(this.watch, this.environment);
  }

  /** Advances the clock and runs due timers in order. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = [...this.#timers]
        .filter(({ at }) => at <= end)
        .sort((one, other) => one.at - other.at);
      if (!next) break;
      this.#timers.delete(next);
      this.now = next.at;
      next.run();
    }
    this.now = end;
  }

  /** Runs the callbacks of the next animation frame. */
  drawFrame(): void {
    for (const run of this.#frameCallbacks.splice(0)) run();
  }

  /** Waits for a number of streams and returns the last one. */
  async stream(count: number): Promise<ServerStream> {
    await until(() => this.streams.length >= count, `${count} streams, not ${this.streams.length}`);
    return this.streams[count - 1]!;
  }
}

/** Runs pending events until the condition holds. */
export async function until(condition: () => boolean, what = "the condition"): Promise<void> {
  const end = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited 15 s for ${what}`);
    await runPending();
  }
}

/** Runs the events that are pending in the event loop. */
export async function runPending(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

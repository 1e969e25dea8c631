/**
 * A watch that outlives its connection: it resumes after the last cursor, on whatever server
 * answers, and ends only when the server says that nothing more will come or that it never will.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client as WireClient } from "@connectrpc/connect";
import { pauseMs, sleep } from "./backoff.js";
import { endsStreams, fromWire, type SentinelError, TransportError } from "./errors.js";
import type { JobFilterSchema, JobService, JobView, WatchRequestSchema, WatchResponse } from "./proto.js";
import { isFinal } from "./job.js";

const REDIAL = { baseMs: 50, capMs: 5_000 };
/** Servers send a keepalive each 10 s; three missing ones are a dead connection. */
const IDLE_BOUND_MS = 30_000;

type Event = WatchResponse["event"];

/** One thing that a watch saw: `snapshot`, `change`, `progress`, `log` or `gap`. Keepalives are not shown. */
export type WatchEvent = Exclude<Event, { case: undefined } | { case: "keepalive" }>;

export interface WatchOptions {
  /** These jobs, 1..100 ids. The watch ends when all of them are final. */
  readonly jobs?: readonly string[];
  /** Every job that matches, also those enqueued later. It does not end by itself. */
  readonly filter?: MessageInitShape<typeof JobFilterSchema>;
  /** Resumes after this cursor of an earlier watch of the same selection. */
  readonly cursor?: string;
  /** Also log lines, best effort. */
  readonly logs?: boolean;
  /** What the jobs in events carry. Default basic. */
  readonly view?: JobView;
  /** Ends the watch, without an error. */
  readonly signal?: AbortSignal;
  /** @internal No frame for this long: the connection counts as dead. */
  readonly idleBoundMs?: number;
}

/** The events of a watch. Read once; leaving the loop ends it. */
export class Watch implements AsyncIterable<WatchEvent> {
  readonly #jobs: WireClient<typeof JobService>;
  readonly #options: WatchOptions;
  /** Of a watch by ids: which of them still run. */
  readonly #open: Map<string, boolean> | undefined;
  #cursor: string;
  #failures = 0;

  /** @internal */
  constructor(jobs: WireClient<typeof JobService>, options: WatchOptions) {
    this.#jobs = jobs;
    this.#options = options;
    this.#cursor = options.cursor ?? "";
    this.#open = options.jobs && new Map(options.jobs.map((id) => [id, true]));
  }

  /** Where to resume after the last event that was read. Empty before the first. */
  get cursor(): string {
    return this.#cursor;
  }

  /**
   * @throws ApiError on INVALID_ARGUMENT, NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED and
   * UNIMPLEMENTED; everything else is retried.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void, undefined> {
    const { signal } = this.#options;
    while (!signal?.aborted) {
      try {
        yield* this.#once();
        if (this.#allFinal()) return;
        // Only the server may say that a watch is over, and only a watch by ids is ever over; a
        // proxy that closes the stream looks the same.
      } catch (cause) {
        if (signal?.aborted) return;
        const error: SentinelError = fromWire(cause);
        if (endsStreams(error)) throw error;
      }
      await sleep(pauseMs(REDIAL, this.#failures, Math.random()), signal);
      this.#failures += 1;
    }
  }

  /** The events of one stream. */
  async *#once(): AsyncGenerator<WatchEvent, void, undefined> {
    const { signal, idleBoundMs = IDLE_BOUND_MS } = this.#options;
    const stop = new AbortController();
    const abort = () => stop.abort();
    signal?.addEventListener("abort", abort, { once: true });
    const frames = this.#jobs.watch(this.#request(), { signal: stop.signal })[Symbol.asyncIterator]();
    let isIdle = false;
    try {
      for (;;) {
        const timer = setTimeout(() => {
          isIdle = true;
          stop.abort();
        }, idleBoundMs);
        const next = await frames.next().finally(() => clearTimeout(timer));
        if (next.done) return;
        const event = this.#take(next.value);
        if (event !== undefined) {
          // Moved before the event is shown: what was read is not shown again.
          yield event;
        }
      }
    } catch (error) {
      throw isIdle ? new TransportError("no frame within the idle bound", { cause: error }) : error;
    } finally {
      stop.abort();
      signal?.removeEventListener("abort", abort);
    }
  }

  #request(): MessageInitShape<typeof WatchRequestSchema> {
    const { jobs, filter, logs, view } = this.#options;
    const selector = jobs
      ? { case: "jobs" as const, value: { ids: [...jobs] } }
      : { case: "filter" as const, value: filter ?? {} };
    return { selector, cursor: this.#cursor, includeLogs: logs ?? false, view: view ?? 0 };
  }

  #take(frame: WatchResponse): WatchEvent | undefined {
    this.#failures = 0;
    if (frame.cursor !== "") this.#cursor = frame.cursor;
    const { event } = frame;
    if (event.case === undefined || event.case === "keepalive") return undefined;
    this.#see(event);
    return event;
  }

  #see(event: WatchEvent): void {
    if (event.case === "snapshot") {
      for (const job of event.value.jobs) this.#set(job.id, !isFinal(job.state));
      for (const id of event.value.unknownIds) this.#set(id, false);
    } else if (event.case === "change" && event.value.job !== undefined) {
      // A retry of a final job opens it again.
      this.#set(event.value.job.id, !isFinal(event.value.job.state));
    }
  }

  #set(id: string, isOpen: boolean): void {
    if (this.#open?.has(id)) this.#open.set(id, isOpen);
  }

  #allFinal(): boolean {
    return this.#open !== undefined && [...this.#open.values()].every((isOpen) => !isOpen);
  }
}

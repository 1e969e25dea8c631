/**
 * Watches that reconnect: after a lost connection they resume from the last cursor, on any server. They
 * close only when all watched jobs are terminal or on a permanent error.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client as RpcClient } from "@connectrpc/connect";
import { linkedController } from "./abort.js";
import { backoffDelayMs, sleep } from "./backoff.js";
import { closesStreams, TransportError } from "./errors.js";
import { type JobFilter, toJobFilter } from "./filter.js";
import { fromGrpcError } from "./grpc-error.js";
import { canonicalId } from "./ids.js";
import { isTerminal } from "./job.js";
import type { JobService, JobView, WatchRequestSchema, WatchResponse } from "./proto.js";

const RECONNECT = { baseMs: 50, capMs: 5_000 };
/** Servers send a keepalive every 10 s; after three missing ones the connection is dead. */
const IDLE_TIMEOUT_MS = 30_000;

type Event = WatchResponse["event"];

/** An event of a watch: `snapshot`, `change`, `progress`, `log` or `gap`. Keepalives are not returned. */
export type WatchEvent = Exclude<Event, { case: undefined } | { case: "keepalive" }>;

/** The selection and the options of a watch. */
export interface WatchOptions {
  /** Watches jobs by id, 1..100 ids. The stream closes when all of them are terminal. */
  readonly jobs?: readonly string[];
  /** Watches all jobs that match, including those enqueued later. The stream does not close by itself. */
  readonly filter?: JobFilter;
  /** Resumes after the cursor of an earlier watch with the same selection. */
  readonly cursor?: string;
  /** Whether to include log lines, best effort. Default no. */
  readonly logs?: boolean;
  /** Which fields the jobs in events have. Default basic. */
  readonly view?: JobView;
  /** Closes the stream without an error when aborted. */
  readonly signal?: AbortSignal;
  /** @internal After this long without any frame the stream reconnects. */
  readonly idleTimeoutMs?: number;
}

/** The event stream of a watch. It can be iterated once; leaving the loop closes it. */
export class WatchStream implements AsyncIterable<WatchEvent> {
  readonly #jobs: RpcClient<typeof JobService>;
  readonly #options: WatchOptions;
  /** Whether each job of a watch by ids is open (not terminal). */
  readonly #isOpen: Map<string, boolean> | undefined;
  readonly #ids: readonly string[] | undefined;
  #cursor: string;
  #failures = 0;

  /** @internal */
  constructor(jobs: RpcClient<typeof JobService>, options: WatchOptions) {
    this.#jobs = jobs;
    this.#options = options;
    this.#cursor = options.cursor ?? "";
    this.#ids = options.jobs?.map(canonicalId);
    this.#isOpen = this.#ids && new Map(this.#ids.map((id) => [id, true]));
  }

  /** The cursor after the last event that was read, for `WatchOptions.cursor`. Empty before the first event. */
  get cursor(): string {
    return this.#cursor;
  }

  /**
   * @throws ApiError on INVALID_ARGUMENT, NOT_FOUND, UNAUTHENTICATED, PERMISSION_DENIED and
   * UNIMPLEMENTED. All other errors are retried.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<WatchEvent, void, undefined> {
    const { signal } = this.#options;
    while (!signal?.aborted) {
      try {
        yield* this.#readStream();
        // A proxy may close the stream early, so that alone does not finish the watch.
        if (this.#allTerminal()) return;
      } catch (cause) {
        if (signal?.aborted) return;
        const error = fromGrpcError(cause);
        if (closesStreams(error)) throw error;
      }
      await sleep(backoffDelayMs(RECONNECT, this.#failures, Math.random()), signal);
      this.#failures += 1;
    }
  }

  /** The events of one gRPC stream. */
  async *#readStream(): AsyncGenerator<WatchEvent, void, undefined> {
    const { signal, idleTimeoutMs = IDLE_TIMEOUT_MS } = this.#options;
    const { controller: stop, release } = linkedController(signal);
    const frames = this.#jobs.watch(this.#request(), { signal: stop.signal })[Symbol.asyncIterator]();
    let isIdle = false;
    try {
      for (;;) {
        const timer = setTimeout(() => {
          isIdle = true;
          stop.abort();
        }, idleTimeoutMs);
        const next = await frames.next().finally(() => clearTimeout(timer));
        if (next.done) return;
        // Moves the cursor before the event is returned, so that the event is not returned twice.
        const event = this.#apply(next.value);
        if (event !== undefined) yield event;
      }
    } catch (error) {
      throw isIdle ? new TransportError("no frame within the idle timeout", { cause: error }) : error;
    } finally {
      stop.abort();
      release();
    }
  }

  #request(): MessageInitShape<typeof WatchRequestSchema> {
    const { filter, logs, view } = this.#options;
    const selector = this.#ids
      ? { case: "jobs" as const, value: { ids: [...this.#ids] } }
      : { case: "filter" as const, value: toJobFilter(filter ?? {}) };
    return { selector, cursor: this.#cursor, includeLogs: logs ?? false, view: view ?? 0 };
  }

  /** Applies a frame; returns its event unless it is a keepalive. */
  #apply(frame: WatchResponse): WatchEvent | undefined {
    this.#failures = 0;
    if (frame.cursor !== "") this.#cursor = frame.cursor;
    const { event } = frame;
    if (event.case === undefined || event.case === "keepalive") return undefined;
    this.#updateOpenJobs(event);
    return event;
  }

  #updateOpenJobs(event: WatchEvent): void {
    if (event.case === "snapshot") {
      for (const job of event.value.jobs) this.#setOpen(job.id, !isTerminal(job.state));
      for (const id of event.value.unknownIds) this.#setOpen(id, false);
    } else if (event.case === "change" && event.value.job !== undefined) {
      // A retry reopens a terminal job.
      this.#setOpen(event.value.job.id, !isTerminal(event.value.job.state));
    }
  }

  #setOpen(id: string, isOpen: boolean): void {
    if (this.#isOpen?.has(id)) this.#isOpen.set(id, isOpen);
  }

  #allTerminal(): boolean {
    return this.#isOpen !== undefined && [...this.#isOpen.values()].every((isOpen) => !isOpen);
  }
}

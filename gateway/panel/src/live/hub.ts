// One Watch stream for all components. Components subscribe to jobs; the hub keeps a single stream
// for all subscriptions, resumes it after a failure, and notifies components at most once per
// frame.
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Job, LogLine } from "../gen/sentinel/jobs/v1/job_pb";
import {
  type WatchRequest,
  WatchRequestSchema,
  type WatchResponse,
  type WatchSummary,
} from "../gen/sentinel/jobs/v1/job_service_pb";
import { isTerminal } from "../ui/states";
import { type Subscription, Subscriptions } from "./subscriptions";

/** The state of the stream. `since` is the time in ms at which the connection was lost. */
export type ConnectionState =
  | { status: "connecting" }
  | { status: "live" }
  | { status: "lost"; since: number; error: ConnectError }
  | { status: "closed" };

export type Watch = (
  request: WatchRequest,
  options: { signal: AbortSignal },
) => AsyncIterable<WatchResponse>;

/** Errors of a watch by ids that concern the jobs and not the connection. */
const JOB_ERRORS: ReadonlySet<Code> = new Set([Code.NotFound, Code.PermissionDenied]);

/** Time, randomness and animation frames. Tests replace them. */
export interface Environment {
  /** Runs a function later. Returns a function that cancels it. */
  after(ms: number, run: () => void): () => void;
  onNextFrame(run: () => void): void;
  random(): number;
  now(): number;
}

export const browser: Environment = {
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  onNextFrame: (run) => void requestAnimationFrame(run),
  random: Math.random,
  now: Date.now,
};

/** How long subscription changes are collected before the stream is reopened. */
const DEBOUNCE_MS = 40;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 10_000;
/** The number of jobs to keep, including those that no component follows any more. */
const JOBS_MAX = 5_000;
/** The server sends a summary every second. A stream silent for this long counts as lost. */
const SILENCE_MAX_MS = 15_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type LogListener = (id: string, lines: readonly LogLine[]) => void;

export class LiveHub {
  #watch: Watch;
  #environment: Environment;
  #subscriptions = new Subscriptions();
  #jobs = new Map<string, Job>();
  #unknown = new Set<string>();
  #summary: WatchSummary | undefined;
  #connection: ConnectionState = { status: "closed" };
  #listeners = new Set<() => void>();
  #logListeners = new Set<LogListener>();
  #isNotifyScheduled = false;
  #isPaused = false;
  #stream: AbortController | undefined;
  /** The key of the subscriptions that the open stream covers. */
  #streamKey = "";
  #cursor = "";
  #failures = 0;
  #streamCount = 0;
  #cancelOpenTimer: (() => void) | undefined;
  #cancelSilenceTimer: (() => void) | undefined;

  constructor(watch: Watch, environment: Environment = browser) {
    this.#watch = watch;
    this.#environment = environment;
  }

  /** Calls the listener after changes, at most once per frame. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  onLogs(listener: LogListener): () => void {
    this.#logListeners.add(listener);
    return () => this.#logListeners.delete(listener);
  }

  job = (id: string): Job | undefined => this.#jobs.get(id);
  /** Returns whether the server does not know the job, or does not show it to this API key. */
  isUnknown = (id: string): boolean => this.#unknown.has(id);
  summary = (): WatchSummary | undefined => this.#summary;
  connection = (): ConnectionState => this.#connection;
  /** Returns the number of streams and gaps so far. A resumed stream repeats no log lines, so lines
   * may be missing whenever the number changes. */
  streamCount = (): number => this.#streamCount;

  /** Follows jobs until the returned function is called. */
  follow(subscription: Subscription): () => void {
    const remove = this.#subscriptions.add(subscription);
    this.#subscriptionsChanged();
    return () => {
      remove();
      this.#subscriptionsChanged();
    };
  }

  /** Adds a job from the response of another call, unless a newer version is known. */
  put(job: Job): void {
    const known = this.#jobs.get(job.id);
    if (known && !isNewer(job, known)) return;
    const wasTerminal = known !== undefined && isTerminal(known.state);
    this.#store(job);
    // The stream may not include a terminal job any more, so a retried job needs a new stream.
    if (wasTerminal && !isTerminal(job.state)) {
      this.#streamKey = "";
      this.#subscriptionsChanged();
    }
    this.#notify();
  }

  /** Makes the next stream include jobs that were terminal or unknown when they were last seen. */
  forget(ids: readonly string[]): void {
    for (const id of ids) {
      const known = this.#jobs.get(id);
      if (known && isTerminal(known.state)) this.#jobs.delete(id);
      this.#unknown.delete(id);
    }
  }

  /** Reconnects now instead of after the retry delay. */
  reconnect(): void {
    if (this.#connection.status === "lost") this.#open();
  }

  /** Closes the stream until `resume`. Hidden tabs do this, because the browser limits the number
   * of connections. */
  pause(): void {
    this.#isPaused = true;
    this.#close();
  }

  resume(): void {
    this.#isPaused = false;
    if (this.#connection.status === "closed") this.#subscriptionsChanged();
  }

  #close(): void {
    this.#cancelOpenTimer?.();
    this.#abortStream();
    this.#setConnection({ status: "closed" });
  }

  #subscriptionsChanged(): void {
    if (this.#isPaused) return;
    if (this.#subscriptions.isEmpty()) {
      this.#close();
      return;
    }
    if (this.#connection.status === "lost") return;
    this.#scheduleOpen(DEBOUNCE_MS, () => {
      if (this.#currentKey() !== this.#streamKey || !this.#stream) this.#open();
    });
  }

  #scheduleOpen(ms: number, run: () => void): void {
    this.#cancelOpenTimer?.();
    this.#cancelOpenTimer = this.#environment.after(ms, run);
  }

  #currentKey(): string {
    return this.#subscriptions.key((id) => this.#isWatchable(id));
  }

  /** Excludes terminal jobs, because a watch by ids ends when all its jobs are terminal. Excludes
   * invalid and unknown ids, because one of them fails the whole watch. */
  #isWatchable(id: string): boolean {
    const job = this.#jobs.get(id);
    return UUID.test(id) && !this.#unknown.has(id) && (job === undefined || !isTerminal(job.state));
  }

  #abortStream(): void {
    this.#stream?.abort();
    this.#stream = undefined;
    this.#streamKey = "";
    this.#cancelSilenceTimer?.();
  }

  #open(): void {
    this.#cancelOpenTimer?.();
    const key = this.#currentKey();
    if (key !== this.#streamKey) this.#cursor = "";
    this.#stream?.abort();
    const stream = new AbortController();
    this.#stream = stream;
    this.#streamKey = key;
    if (this.#connection.status !== "lost") this.#setConnection({ status: "connecting" });
    // Also covers a server that accepts the connection but never responds.
    this.#restartSilenceTimer();
    const init = this.#subscriptions.request((id) => this.#isWatchable(id), this.#cursor);
    void this.#read(stream, create(WatchRequestSchema, init));
  }

  async #read(stream: AbortController, request: WatchRequest): Promise<void> {
    const ids = request.selector.case === "jobs" ? request.selector.value.ids : [];
    let isFirst = true;
    try {
      for await (const response of this.#watch(request, { signal: stream.signal })) {
        if (this.#stream !== stream) return;
        if (isFirst) this.#streamCount += 1;
        isFirst = false;
        this.#failures = 0;
        if (this.#connection.status !== "live") this.#setConnection({ status: "live" });
        this.#restartSilenceTimer();
        this.#handle(response);
      }
      if (this.#stream !== stream) return;
      if (ids.length > 0 && !ids.some((id) => this.#isWatchable(id))) {
        // All jobs of the watch are terminal.
        this.#openNext();
        return;
      }
      // The server stopped, or a job was deleted while the connection was lost. A cursor would
      // hide the deletion; a snapshot reports it.
      this.#cursor = "";
      this.#connectionLost(new ConnectError("the server closed the stream", Code.Unavailable));
    } catch (thrown) {
      if (this.#stream !== stream) return;
      const error = ConnectError.from(thrown);
      if (ids.length > 0 && JOB_ERRORS.has(error.code)) {
        for (const id of ids) this.#unknown.add(id);
        this.#openNext();
      } else this.#connectionLost(error);
    }
  }

  /** Opens a stream for the remaining subscriptions. */
  #openNext(): void {
    this.#abortStream();
    this.#cursor = "";
    this.#scheduleOpen(DEBOUNCE_MS, () => this.#open());
  }

  #restartSilenceTimer(): void {
    this.#cancelSilenceTimer?.();
    this.#cancelSilenceTimer = this.#environment.after(SILENCE_MAX_MS, () => {
      this.#stream?.abort();
      const message = `the server sent nothing for ${SILENCE_MAX_MS / 1000} s`;
      this.#connectionLost(new ConnectError(message, Code.Unavailable));
    });
  }

  #connectionLost(error: ConnectError): void {
    this.#stream = undefined;
    this.#cancelSilenceTimer?.();
    // The server would refuse an invalid cursor again.
    if (error.code === Code.InvalidArgument) this.#cursor = "";
    const since =
      this.#connection.status === "lost" ? this.#connection.since : this.#environment.now();
    this.#setConnection({ status: "lost", since, error });
    const delay = Math.min(RETRY_MIN_MS * 2 ** this.#failures, RETRY_MAX_MS);
    this.#failures += 1;
    const jitter = 0.5 + this.#environment.random() / 2;
    this.#scheduleOpen(delay * jitter, () => this.#open());
  }

  #handle({ event, cursor }: WatchResponse): void {
    if (cursor !== "") this.#cursor = cursor;
    switch (event.case) {
      case "snapshot":
        for (const job of event.value.jobs) this.#storeIfNewer(job);
        for (const id of event.value.unknownIds) this.#unknown.add(id);
        break;
      case "change":
        if (event.value.job) this.#storeIfNewer(event.value.job);
        break;
      case "progress": {
        const { id, attempt, progress } = event.value;
        const job = this.#jobs.get(id);
        if (job && progress && job.attempt === attempt && !isTerminal(job.state)) {
          this.#jobs.set(id, { ...job, progress });
        }
        break;
      }
      case "log":
        for (const listener of this.#logListeners) listener(event.value.id, event.value.lines);
        break;
      case "summary":
        this.#summary = event.value;
        break;
      case "gap":
        // A snapshot follows. Log lines may be missing, as after a new stream.
        this.#streamCount += 1;
        break;
      // A keepalive only restarts the silence timer.
      default:
        return;
    }
    this.#notify();
  }

  #storeIfNewer(job: Job): void {
    const known = this.#jobs.get(job.id);
    if (known === undefined || isNewer(job, known)) this.#store(job);
  }

  #store(job: Job): void {
    const known = this.#jobs.get(job.id);
    // Deleting first moves the job to the end of the insertion order, which eviction uses.
    this.#jobs.delete(job.id);
    this.#jobs.set(job.id, known ? withProgress(job, known) : job);
    this.#unknown.delete(job.id);
    if (this.#jobs.size > JOBS_MAX) this.#evict();
  }

  /** Removes the oldest jobs that no component follows. */
  #evict(): void {
    for (const id of [...this.#jobs.keys()].slice(0, JOBS_MAX / 2)) {
      if (!this.#subscriptions.has(id)) this.#jobs.delete(id);
    }
  }

  #setConnection(connection: ConnectionState): void {
    this.#connection = connection;
    this.#notify();
  }

  #notify(): void {
    if (this.#isNotifyScheduled) return;
    this.#isNotifyScheduled = true;
    this.#environment.onNextFrame(() => {
      this.#isNotifyScheduled = false;
      for (const listener of this.#listeners) listener();
    });
  }
}

/** Keeps the known progress of the same attempt, because a change does not include progress. */
function withProgress(job: Job, known: Job): Job {
  const isSameAttempt = job.run === known.run && job.attempt === known.attempt;
  return isSameAttempt && !job.progress && known.progress
    ? { ...job, progress: known.progress }
    : job;
}

/** Compares by version, and within a version by progress. */
function isNewer(job: Job, known: Job): boolean {
  if (job.version !== known.version) return job.version > known.version;
  return (job.progress?.seq ?? 0n) >= (known.progress?.seq ?? 0n);
}

/** The handler's view of its job. */
import { toBytes } from "../bytes.js";
import { SentinelError } from "../errors.js";
import { LogLevel } from "../gen/sentinel/jobs/v1/job_pb.js";
import { splitAt, textOf, truncate } from "../text.js";
import {
  LOG_WINDOW_LINES,
  MAX_CHECKPOINT_BYTES,
  MAX_CHUNK_BYTES,
  MAX_LINE_BYTES,
  MAX_OUTPUT_BYTES,
  MAX_UNSENT_LOG_BYTES,
  TIMINGS,
} from "./constants.js";
import { HandlerError } from "./outcome.js";
import type {
  CheckpointResult,
  LogEntry,
  OutputResult,
  ProgressUpdate,
  StartAttempt,
  ToSession,
} from "./thread-messages.js";

const MAX_PROGRESS_MESSAGE_BYTES = 4 * 1024;
const MAX_UINT64 = 2n ** 64n - 1n;

/** Why a checkpoint was not stored. */
export class CheckpointError extends SentinelError {
  override name = "CheckpointError";

  constructor(
    /**
     * `fenced`: the attempt lost its lease. `too_large`: it exceeds 64 KiB. `finished`: the attempt
     * finished, or a later checkpoint replaced this one.
     */
    readonly reason: "fenced" | "too_large" | "finished",
    message: string,
  ) {
    super(message);
  }
}

/** Why output was not stored. Output of earlier calls stays stored. */
export class OutputError extends SentinelError {
  override name = "OutputError";

  constructor(
    /**
     * `fenced`: the attempt lost its lease. `too_large`: the output exceeds 10 MiB. `finished`: the attempt
     * finished. `rejected`: the server is missing earlier output, or has too many chunks of it.
     * `unsupported`: the server's version does not support output.
     */
    readonly reason: "fenced" | "too_large" | Exclude<OutputResult, "stored">,
    message: string,
  ) {
    super(message);
  }
}

interface PendingCheckpoint {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: CheckpointError) => void;
}

/** The handler's view of one attempt of a job: its input, and what the handler reports while it runs. */
export class JobContext {
  readonly #abort = new AbortController();
  readonly #send: (message: ToSession, isUrgent?: boolean) => void;
  readonly #attempt: StartAttempt;
  #isFinished = false;
  #progressSeq = 0;
  #progress: ProgressUpdate | undefined;
  #progressTimer: NodeJS.Timeout | undefined;
  #progressSentMs = -Infinity;
  #logSeq = 0;
  #logEntries: LogEntry[] = [];
  #logBytes = 0;
  /** Whether a message with log entries was sent and not yet accepted by the session. */
  #isLogPending = false;
  #checkpointSeq = 0;
  #pendingCheckpoint: PendingCheckpoint | undefined;
  #outputBytes = 0;
  /** The last output call. The next one starts after it. */
  #lastOutput: Promise<unknown> = Promise.resolve();
  #pendingOutput: ((result: OutputResult) => void) | undefined;

  /** @internal */
  constructor(
    attempt: StartAttempt,
    /** The name of the worker process. */
    readonly instance: string,
    send: (message: ToSession, isUrgent?: boolean) => void,
  ) {
    this.#attempt = attempt;
    this.#send = send;
  }

  /** The UUID of the job. */
  get jobId(): string {
    return this.#attempt.jobId;
  }

  /** The kind of the job. */
  get kind(): string {
    return this.#attempt.kind;
  }

  /** The queue of the job. */
  get queue(): string {
    return this.#attempt.queue;
  }

  /** The number of this run. Starts at 1; each retry of the terminal job starts a new run. */
  get run(): number {
    return this.#attempt.run;
  }

  /** The number of this attempt within its run. Starts at 1. */
  get attempt(): number {
    return this.#attempt.attempt;
  }

  /** The limit of attempts per run. */
  get maxAttempts(): number {
    return this.#attempt.maxAttempts;
  }

  /** The input, as enqueued. */
  get payload(): Uint8Array {
    return this.#attempt.payload;
  }

  /** The media type of the payload. */
  get contentType(): string {
    return this.#attempt.contentType;
  }

  /** The labels of the job. */
  get labels(): Readonly<Record<string, string>> {
    return this.#attempt.labels;
  }

  /** The last checkpoint of an earlier attempt. Empty when there is none. */
  get lastCheckpoint(): Uint8Array {
    return this.#attempt.checkpoint;
  }

  /** The W3C traceparent of the caller that enqueued the job. Empty when there is none. */
  get traceparent(): string {
    return this.#attempt.traceparent;
  }

  /**
   * The fencing token of this attempt's lease: `job/run/attempt/epoch`. The epoch increases with each
   * lease of the job. A database that stores the highest epoch per job can reject writes of an attempt
   * that has lost its lease.
   */
  get fencingToken(): string {
    return `${this.jobId}/${this.run}/${this.attempt}/${this.#attempt.epoch}`;
  }

  /**
   * Aborted when the handler should stop: the job was cancelled, the lease was lost, the attempt timed
   * out, or the drain timeout has passed.
   */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * The input, parsed as JSON. An empty payload is `null`. `T` is not checked.
   *
   * @throws HandlerError that is not retryable, with code `BAD_PAYLOAD`: a retry would fail the same way.
   */
  payloadJson<T = unknown>(): T {
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(this.payload);
      return JSON.parse(text || "null") as T;
    } catch (cause) {
      const message = `payload: it is not JSON: ${textOf(cause)}`;
      throw new HandlerError(message, { code: "BAD_PAYLOAD", retryable: false, cause });
    }
  }

  /**
   * Reports progress in a unit of the handler's choice; `total` 0 means unknown. Cheap: only the latest
   * report is kept, and at most 10 per second are sent. Never throws: NaN and negative numbers become 0, too
   * large ones the largest uint64, and `message` is truncated to 4 KiB.
   */
  progress(done: number | bigint, total: number | bigint = 0, message = ""): void {
    if (this.#isFinished) return;
    this.#progressSeq += 1;
    const text = truncate(textOf(message), MAX_PROGRESS_MESSAGE_BYTES);
    this.#progress = { seq: this.#progressSeq, done: toUint64(done), total: toUint64(total), message: text };
    const delayMs = this.#progressSentMs + TIMINGS.progressIntervalMs - performance.now();
    if (delayMs <= 0) this.#flushProgress();
    else this.#progressTimer ??= setTimeout(() => this.#flushProgress(), delayMs);
  }

  /**
   * Logs a line for the job. Never waits: when more than 1000 lines are unsent, the oldest are dropped.
   * Lines over 64 KiB are split. Never throws: other values than text are converted to text.
   */
  log(level: "debug" | "info" | "warn" | "error", text: string): void {
    if (this.#isFinished) return;
    const timeMs = Date.now();
    let rest = textOf(text);
    do {
      const [line, tail] = splitAt(rest, MAX_LINE_BYTES);
      this.#logSeq += 1;
      this.#logBytes += Buffer.byteLength(line);
      this.#logEntries.push({ seq: this.#logSeq, timeMs, level: toLogLevel(level), text: line });
      rest = tail;
    } while (rest !== "");
    while (this.#logEntries.length > LOG_WINDOW_LINES || this.#logBytes > MAX_UNSENT_LOG_BYTES) {
      this.#logBytes -= Buffer.byteLength(this.#logEntries.shift()?.text ?? "");
    }
    this.#flushLog();
  }

  /**
   * Stores state for the next attempt, at most 64 KiB; resolves when the server has stored it. A second
   * call before the first has resolved replaces it.
   *
   * @throws CheckpointError
   */
  checkpoint(data: Uint8Array | string): Promise<void> {
    return handled(this.#storeCheckpoint(data));
  }

  async #storeCheckpoint(data: Uint8Array | string): Promise<void> {
    const bytes = toBytes("checkpoint", data);
    if (bytes.length > MAX_CHECKPOINT_BYTES) {
      const message = `the checkpoint has ${bytes.length} bytes; at most ${MAX_CHECKPOINT_BYTES} are allowed`;
      throw new CheckpointError("too_large", message);
    }
    if (this.#isFinished) throw checkpointError("finished");
    this.#pendingCheckpoint?.reject(checkpointError("finished"));
    this.#checkpointSeq += 1;
    const seq = this.#checkpointSeq;
    return new Promise<void>((resolve, reject) => {
      this.#pendingCheckpoint = { seq, resolve, reject };
      this.#send({ type: "checkpoint", localId: this.#attempt.localId, seq, data: bytes });
    });
  }

  /**
   * Appends bytes to the output of this attempt; resolves when the server has stored them. Clients read
   * them with `readOutput`, also while the job runs. An attempt can write 10 MiB, in at most 10,000 calls;
   * the output of the next attempt starts empty.
   *
   * @throws OutputError
   */
  writeOutput(data: Uint8Array | string): Promise<void> {
    return handled(this.#appendOutput(data));
  }

  async #appendOutput(data: Uint8Array | string): Promise<void> {
    const bytes = toBytes("output", data);
    const stored = this.#lastOutput.then(() => this.#sendOutput(bytes));
    this.#lastOutput = stored.catch(() => {});
    return stored;
  }

  async #sendOutput(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += MAX_CHUNK_BYTES) {
      // Copied, because the chunk is sent to the session's thread.
      const data = bytes.slice(start, start + MAX_CHUNK_BYTES);
      const offset = this.#outputBytes;
      if (offset + data.length > MAX_OUTPUT_BYTES) throw outputError("too_large");
      if (this.#isFinished) throw outputError("finished");
      const result = await new Promise<OutputResult>((resolve) => {
        this.#pendingOutput = resolve;
        this.#send({ type: "output", localId: this.#attempt.localId, offset, data });
      });
      if (result !== "stored") throw outputError(result);
      this.#outputBytes += data.length;
    }
  }

  /** @internal */
  outputResult(offset: number, result: OutputResult): void {
    if (offset !== this.#outputBytes) return;
    this.#pendingOutput?.(result);
    this.#pendingOutput = undefined;
  }

  /** @internal */
  cancel(): void {
    this.#abort.abort(new SentinelError("the handler should stop"));
  }

  /** @internal */
  linesAccepted(): void {
    this.#isLogPending = false;
    this.#flushLog();
  }

  /** @internal */
  checkpointResult(seq: number, result: CheckpointResult): void {
    const pending = this.#pendingCheckpoint;
    if (pending === undefined || pending.seq !== seq) return;
    this.#pendingCheckpoint = undefined;
    if (result === "stored") pending.resolve();
    else pending.reject(checkpointError(result));
  }

  /** @internal After the handler has finished: later writes are ignored, earlier ones are sent. */
  finish(): void {
    this.#flushProgress();
    this.#isLogPending = false;
    this.#flushLog();
    this.#isFinished = true;
    this.#pendingCheckpoint?.reject(checkpointError("finished"));
    this.#pendingCheckpoint = undefined;
    this.#pendingOutput?.("finished");
    this.#pendingOutput = undefined;
  }

  #flushProgress(): void {
    clearTimeout(this.#progressTimer);
    this.#progressTimer = undefined;
    const progress = this.#progress;
    if (progress === undefined || this.#isFinished) return;
    this.#progress = undefined;
    this.#progressSentMs = performance.now();
    // Urgent, so that the progress of a handler that does not yield is sent, too.
    this.#send({ type: "progress", localId: this.#attempt.localId, progress }, true);
  }

  /** Sends one batch at a time, so that unsent entries stay here, where they are limited. */
  #flushLog(): void {
    if (this.#isLogPending || this.#logEntries.length === 0 || this.#isFinished) return;
    this.#isLogPending = true;
    const entries = this.#logEntries;
    this.#logEntries = [];
    this.#logBytes = 0;
    this.#send({ type: "log", localId: this.#attempt.localId, entries }, true);
  }
}

/** Prevents an unhandled rejection when the handler does not await a call. */
function handled<T>(call: Promise<T>): Promise<T> {
  call.catch(() => {});
  return call;
}

const LOG_LEVELS = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
} as const;

/** A level of another name is INFO. */
function toLogLevel(level: unknown): LogLevel {
  const isKnown = typeof level === "string" && Object.hasOwn(LOG_LEVELS, level);
  return isKnown ? LOG_LEVELS[level as keyof typeof LOG_LEVELS] : LogLevel.INFO;
}

function checkpointError(reason: "fenced" | "finished"): CheckpointError {
  const message =
    reason === "fenced"
      ? "the attempt lost its lease"
      : "the attempt finished before the checkpoint was stored, or a later one replaced it";
  return new CheckpointError(reason, message);
}

function outputError(reason: OutputError["reason"]): OutputError {
  const messages = {
    fenced: "the attempt lost its lease",
    too_large: `the output exceeds ${MAX_OUTPUT_BYTES} bytes`,
    finished: "the attempt finished before the output was stored",
    rejected: "the server rejected the output: it is missing earlier output, or has too many chunks of it",
    unsupported: "the server does not support output; upgrade the server",
  };
  return new OutputError(reason, messages[reason]);
}

/** Rounds down and clamps to the range of uint64: NaN, negative numbers and other values than numbers become 0. */
function toUint64(count: unknown): bigint {
  if (typeof count === "bigint") return count < 0n ? 0n : count > MAX_UINT64 ? MAX_UINT64 : count;
  if (typeof count !== "number" || !(count > 0)) return 0n;
  return count >= Number(MAX_UINT64) ? MAX_UINT64 : BigInt(Math.floor(count));
}

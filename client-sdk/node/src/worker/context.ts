/** What a handler knows about its job and may tell the server while it runs. */
import { LogLevel } from "../gen/sentinel/jobs/v1/job_pb.js";
import { SentinelError } from "../errors.js";
import { cut, split } from "../text.js";
import type { CheckpointAnswer, Line, NewProgress, OutputAnswer, Start, ToSession } from "./messages.js";
import { HandlerError, toBytes } from "./outcome.js";
import {
  LOG_WINDOW_LINES,
  MAX_CHECKPOINT_BYTES,
  MAX_LINE_BYTES,
  MAX_OUTPUT_BYTES,
  MAX_PIECE_BYTES,
  MAX_WAITING_LOG_BYTES,
  TUNING,
} from "./tuning.js";

const MAX_PROGRESS_MESSAGE_BYTES = 4 * 1024;
const MAX_COUNT = 2n ** 64n - 1n;

/** Why a checkpoint was not stored. */
export class CheckpointError extends SentinelError {
  override name = "CheckpointError";

  constructor(
    /** The lease was lost; over 64 KiB; the attempt ended or a later checkpoint took its place. */
    readonly why: "fenced" | "too_large" | "ended",
    message: string,
  ) {
    super(message);
  }
}

/** Why output was not stored. What was handed out before stays. */
export class OutputError extends SentinelError {
  override name = "OutputError";

  constructor(
    /** The lease was lost; over 10 MiB; the attempt ended; the server has another place; it is too old. */
    readonly why: "fenced" | "too_large" | Exclude<OutputAnswer, "stored">,
    message: string,
  ) {
    super(message);
  }
}

interface Waiting {
  readonly seq: number;
  readonly resolve: () => void;
  readonly reject: (error: CheckpointError) => void;
}

/** One attempt of a job, as its handler sees it. */
export class Job {
  readonly #abort = new AbortController();
  readonly #send: (message: ToSession, atOnce?: boolean) => void;
  readonly #start: Start;
  #isEnded = false;
  #progressSeq = 0;
  #progress: NewProgress | undefined;
  #progressTimer: NodeJS.Timeout | undefined;
  #progressSentMs = -Infinity;
  #lineSeq = 0;
  #lines: Line[] = [];
  #lineBytes = 0;
  #linesAreAway = false;
  #checkpointSeq = 0;
  #waiting: Waiting | undefined;
  #outputBytes = 0;
  #outputTurn: Promise<unknown> = Promise.resolve();
  #handing: ((answer: OutputAnswer) => void) | undefined;

  /** @internal */
  constructor(
    start: Start,
    /** Name of the worker process. */
    readonly instance: string,
    send: (message: ToSession, atOnce?: boolean) => void,
  ) {
    this.#start = start;
    this.#send = send;
  }

  /** UUID of the job. */
  get id(): string {
    return this.#start.jobId;
  }

  /** Which handler was asked for. */
  get kind(): string {
    return this.#start.kind;
  }

  /** From which queue. */
  get queue(): string {
    return this.#start.queue;
  }

  /** Rises with each retry of the final job; starts at 1. */
  get run(): number {
    return this.#start.run;
  }

  /** The attempt of this run; starts at 1. */
  get attempt(): number {
    return this.#start.attempt;
  }

  /** Attempts in all that this run may have. */
  get maxAttempts(): number {
    return this.#start.maxAttempts;
  }

  /** The input, as enqueued. */
  get payload(): Uint8Array {
    return this.#start.payload;
  }

  /** Media type of the payload. */
  get contentType(): string {
    return this.#start.contentType;
  }

  /** As enqueued. */
  get labels(): Readonly<Record<string, string>> {
    return this.#start.labels;
  }

  /** What an attempt before left for this one. Empty: nothing. */
  get lastCheckpoint(): Uint8Array {
    return this.#start.checkpoint;
  }

  /** W3C traceparent of the caller that enqueued it. Empty: none. */
  get traceparent(): string {
    return this.#start.traceparent;
  }

  /**
   * Names this right to run: `job/run/attempt/epoch`. A store that keeps the highest fence it has
   * seen of a job can refuse the writes of an attempt that was declared lost.
   */
  get fence(): string {
    return `${this.id}/${this.run}/${this.attempt}/${this.#start.epoch}`;
  }

  /** Aborted when the handler should stop: a cancel, a lost lease, a time-out or the end of a drain. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /**
   * The input as JSON; an empty payload reads as `null`. The type is the caller's claim.
   *
   * @throws HandlerError, not retryable, code `BAD_PAYLOAD`: the same payload fails each time.
   */
  json<T = unknown>(): T {
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(this.payload);
      return JSON.parse(text || "null") as T;
    } catch (cause) {
      throw new HandlerError("payload", { code: "BAD_PAYLOAD", retryable: false, cause });
    }
  }

  /**
   * Tells how far the job has come, in the handler's own unit; `total` 0: not known. Cheap: only the
   * newest is kept, and at most 10 a second are sent. `message` is cut at 4 KiB.
   */
  progress(done: number | bigint, total: number | bigint = 0, message = ""): void {
    if (this.#isEnded) return;
    this.#progressSeq += 1;
    const text = cut(message, MAX_PROGRESS_MESSAGE_BYTES);
    this.#progress = { seq: this.#progressSeq, done: wireCount(done), total: wireCount(total), message: text };
    const waitMs = this.#progressSentMs + TUNING.progressIntervalMs - performance.now();
    if (waitMs <= 0) this.#flushProgress();
    else this.#progressTimer ??= setTimeout(() => this.#flushProgress(), waitMs);
  }

  /**
   * Logs a line for the job. Never waits: when over 1000 lines are not yet on their way, the oldest
   * of them are dropped. Lines over 64 KiB are split.
   */
  log(level: "debug" | "info" | "warn" | "error", text: string): void {
    if (this.#isEnded) return;
    const timeMs = Date.now();
    let rest = text;
    do {
      const [line, tail] = split(rest, MAX_LINE_BYTES);
      this.#lineSeq += 1;
      this.#lineBytes += Buffer.byteLength(line);
      this.#lines.push({ seq: this.#lineSeq, timeMs, level: LEVELS[level], text: line });
      rest = tail;
    } while (rest !== "");
    while (this.#lines.length > LOG_WINDOW_LINES || this.#lineBytes > MAX_WAITING_LOG_BYTES) {
      this.#lineBytes -= Buffer.byteLength(this.#lines.shift()?.text ?? "");
    }
    this.#flushLines();
  }

  /**
   * Stores state for the next attempt, at most 64 KiB; resolves once the server has it. A second
   * call before the first one resolved takes its place.
   *
   * @throws CheckpointError
   */
  checkpoint(data: Uint8Array | string): Promise<void> {
    const bytes = toBytes(data);
    if (bytes.length > MAX_CHECKPOINT_BYTES) {
      const message = `the checkpoint has ${bytes.length} bytes; at most ${MAX_CHECKPOINT_BYTES} are allowed`;
      return Promise.reject(new CheckpointError("too_large", message));
    }
    if (this.#isEnded) return Promise.reject(notStored("ended"));
    this.#waiting?.reject(notStored("ended"));
    this.#checkpointSeq += 1;
    const seq = this.#checkpointSeq;
    const stored = new Promise<void>((resolve, reject) => {
      this.#waiting = { seq, resolve, reject };
      this.#send({ type: "checkpoint", no: this.#start.no, seq, data: bytes });
    });
    // A handler that does not wait for it must not bring the process down.
    stored.catch(() => {});
    return stored;
  }

  /**
   * Hands out bytes before the job ends, behind those of the calls before; resolves once the
   * server has them. Whoever wants them reads them with `readOutput`, also while the job runs.
   * An attempt may hand out 10 MiB, in at most 10,000 calls; the next attempt starts anew.
   *
   * @throws OutputError
   */
  output(data: Uint8Array | string): Promise<void> {
    const bytes = toBytes(data);
    const stored = this.#outputTurn.then(() => this.#handOut(bytes));
    // A handler that does not wait for it must not bring the process down.
    this.#outputTurn = stored.catch(() => {});
    return stored;
  }

  async #handOut(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.length; start += MAX_PIECE_BYTES) {
      // A copy: the bytes cross to the thread of the session.
      const data = bytes.slice(start, start + MAX_PIECE_BYTES);
      const offset = this.#outputBytes;
      if (offset + data.length > MAX_OUTPUT_BYTES) throw notTaken("too_large");
      if (this.#isEnded) throw notTaken("ended");
      const answer = await new Promise<OutputAnswer>((resolve) => {
        this.#handing = resolve;
        this.#send({ type: "output", no: this.#start.no, offset, data });
      });
      if (answer !== "stored") throw notTaken(answer);
      this.#outputBytes += data.length;
    }
  }

  /** @internal */
  handed(offset: number, answer: OutputAnswer): void {
    if (offset !== this.#outputBytes) return;
    this.#handing?.(answer);
    this.#handing = undefined;
  }

  /** @internal */
  cancel(): void {
    this.#abort.abort(new SentinelError("the handler should stop"));
  }

  /** @internal */
  tookLines(): void {
    this.#linesAreAway = false;
    this.#flushLines();
  }

  /** @internal */
  checkpointed(seq: number, answer: CheckpointAnswer): void {
    const waiting = this.#waiting;
    if (waiting === undefined || waiting.seq !== seq) return;
    this.#waiting = undefined;
    if (answer === "stored") waiting.resolve();
    else waiting.reject(notStored(answer));
  }

  /** @internal The handler is done: later writes are ignored, what was written goes out. */
  end(): void {
    this.#flushProgress();
    this.#linesAreAway = false;
    this.#flushLines();
    this.#isEnded = true;
    this.#waiting?.reject(notStored("ended"));
    this.#waiting = undefined;
    this.#handing?.("ended");
    this.#handing = undefined;
  }

  #flushProgress(): void {
    clearTimeout(this.#progressTimer);
    this.#progressTimer = undefined;
    const progress = this.#progress;
    if (progress === undefined || this.#isEnded) return;
    this.#progress = undefined;
    this.#progressSentMs = performance.now();
    // At once: a handler that does not yield is seen to come further, too.
    this.#send({ type: "progress", no: this.#start.no, progress }, true);
  }

  /** The session is handed one batch at a time, so that lines wait here, where they are bounded. */
  #flushLines(): void {
    if (this.#linesAreAway || this.#lines.length === 0 || this.#isEnded) return;
    this.#linesAreAway = true;
    const lines = this.#lines;
    this.#lines = [];
    this.#lineBytes = 0;
    this.#send({ type: "log", no: this.#start.no, lines }, true);
  }
}

const LEVELS = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
} as const;

function notStored(why: "fenced" | "ended"): CheckpointError {
  const message =
    why === "fenced"
      ? "the lease of this attempt was lost"
      : "the attempt ended, or a later checkpoint came, before this one was stored";
  return new CheckpointError(why, message);
}

function notTaken(why: OutputError["why"]): OutputError {
  const messages = {
    fenced: "the lease of this attempt was lost",
    too_large: `an attempt hands out at most ${MAX_OUTPUT_BYTES} bytes`,
    ended: "the attempt ended before the output was stored",
    not_taken: "the server does not have the output before this, or has too many pieces of it",
    unsupported: "the server is too old to take output",
  };
  return new OutputError(why, messages[why]);
}

/** Counts are whole, not negative and have 64 bits; a handler's arithmetic may not be. */
function wireCount(count: number | bigint): bigint {
  const whole = typeof count === "bigint" ? count : Number.isFinite(count) ? BigInt(Math.floor(count)) : 0n;
  if (whole < 0n) return 0n;
  return whole > MAX_COUNT ? MAX_COUNT : whole;
}

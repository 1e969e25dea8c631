/** One attempt while this process knows it: from its assignment until its report is settled. */
import { create } from "@bufbuild/protobuf";
import { LogLineSchema, type LogLine } from "../gen/sentinel/jobs/v1/job_pb.js";
import type { Lease, ReportItem } from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { wireTimestamp } from "../time.js";
import type { Line, NewProgress } from "./messages.js";
import { LOG_WINDOW_LINES, MAX_LOG_FRAME_BYTES } from "./tuning.js";

export function leaseKey(lease: Lease): string {
  return `${lease.jobId}/${lease.run}/${lease.attempt}/${lease.epoch}/${lease.session}`;
}

/** A checkpoint that its handler waits for. */
interface PendingCheckpoint {
  readonly seq: number;
  readonly data: Uint8Array;
  isSent: boolean;
}

/** A piece of output that its handler waits for. */
interface PendingOutput {
  readonly offset: number;
  readonly data: Uint8Array;
  isSent: boolean;
}

export class Held {
  readonly log: AttemptLog;
  isRunning: boolean;
  isLeaseLive = true;
  isCancelRequested = false;
  report: ReportItem | undefined;
  /** The report is queued or sent on the present stream. */
  isReporting = false;
  resends = 0;
  isInSide = false;
  isInProgress = false;
  /** Ended, settled, and only kept for its log lines, through at most one break. */
  isLingering = false;
  brokeWhileLingering = false;
  progress: NewProgress | undefined;
  checkpoint: PendingCheckpoint | undefined;
  output: PendingOutput | undefined;

  constructor(
    readonly no: number,
    readonly lease: Lease,
    readonly payloadBytes: number,
    readonly runTimeoutMs: number | undefined,
    public startedAtMs: number | undefined,
  ) {
    this.log = new AttemptLog(lease);
    this.isRunning = startedAtMs !== undefined;
  }

  hasSideToSend(): boolean {
    const isUnsent = (pending: { isSent: boolean } | undefined): boolean => pending?.isSent === false;
    return isUnsent(this.checkpoint) || isUnsent(this.output) || this.log.hasUnsent();
  }

  /** What was sent and not acknowledged goes out again. */
  unsend(): void {
    if (this.checkpoint !== undefined) this.checkpoint.isSent = false;
    if (this.output !== undefined) this.output.isSent = false;
  }

  /** The stream is gone: what it had not acknowledged goes out again. */
  rewind(): void {
    this.isReporting = false;
    this.isInSide = false;
    this.isInProgress = false;
    this.log.rewind();
    this.unsend();
  }
}

/** Log lines on their way to the server: windowed, sent again after a break. */
export class AttemptLog {
  #unsent: Line[] = [];
  #inFlight: Line[] = [];

  constructor(private readonly lease: Lease) {}

  push(lines: readonly Line[]): void {
    this.#unsent.push(...lines);
  }

  hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  isEmpty(): boolean {
    return this.#unsent.length === 0 && this.#inFlight.length === 0;
  }

  /**
   * The next frame's lines. Empty when there is nothing to send or the window is full;
   * `lastWords` ignores the window, for an attempt that has ended.
   */
  take(lastWords: boolean): LogLine[] {
    const room = lastWords ? LOG_WINDOW_LINES : LOG_WINDOW_LINES - this.#inFlight.length;
    let [count, bytes] = [0, 0];
    for (const line of this.#unsent) {
      bytes += Buffer.byteLength(line.text);
      if (count >= room || count >= LOG_WINDOW_LINES || (count > 0 && bytes > MAX_LOG_FRAME_BYTES)) break;
      count += 1;
    }
    const taken = this.#unsent.splice(0, count);
    this.#inFlight.push(...taken);
    return taken.map((line) => this.#wire(line));
  }

  /** Lines up to `seq` are stored. */
  ack(seq: bigint): void {
    const kept = this.#inFlight.findIndex((line) => line.seq > seq);
    this.#inFlight.splice(0, kept === -1 ? this.#inFlight.length : kept);
  }

  rewind(): void {
    this.#unsent = [...this.#inFlight, ...this.#unsent];
    this.#inFlight = [];
  }

  clear(): void {
    this.#unsent = [];
    this.#inFlight = [];
  }

  #wire(line: Line): LogLine {
    return create(LogLineSchema, {
      run: this.lease.run,
      attempt: this.lease.attempt,
      seq: BigInt(line.seq),
      time: wireTimestamp("time", line.timeMs),
      level: line.level,
      text: line.text,
    });
  }
}

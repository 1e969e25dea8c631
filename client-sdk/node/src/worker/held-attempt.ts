/** One attempt that this process holds, from its assignment until its report is settled. */
import { create } from "@bufbuild/protobuf";
import { type LogLine, LogLineSchema } from "../gen/sentinel/jobs/v1/job_pb.js";
import type { Lease, ReportItem } from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { wireTimestamp } from "../time.js";
import { LOG_WINDOW_LINES, MAX_LOG_FRAME_BYTES } from "./constants.js";
import type { LogEntry, ProgressUpdate } from "./thread-messages.js";

export function leaseKey(lease: Lease): string {
  return `${lease.jobId}/${lease.run}/${lease.attempt}/${lease.epoch}/${lease.session}`;
}

/** A checkpoint that waits for its acknowledgement. */
interface PendingCheckpoint {
  readonly seq: number;
  readonly data: Uint8Array;
  isSent: boolean;
}

/** An output chunk that waits for its acknowledgement. */
interface PendingChunk {
  readonly offset: number;
  readonly data: Uint8Array;
  isSent: boolean;
}

export class HeldAttempt {
  readonly log: AttemptLog;
  isRunning: boolean;
  hasLease = true;
  isCancelRequested = false;
  report: ReportItem | undefined;
  /** Whether the report is queued or sent on the current stream. */
  isReportQueued = false;
  resends = 0;
  isDataQueued = false;
  isProgressQueued = false;
  /** Finished, settled, and held only for its unacknowledged log lines, across at most one reconnect. */
  awaitsLogAck = false;
  awaitedLogAckAtReconnect = false;
  progress: ProgressUpdate | undefined;
  checkpoint: PendingCheckpoint | undefined;
  output: PendingChunk | undefined;

  constructor(
    readonly localId: number,
    readonly lease: Lease,
    readonly payloadBytes: number,
    readonly runTimeoutMs: number | undefined,
    public startedAtMs: number | undefined,
  ) {
    this.log = new AttemptLog(lease);
    this.isRunning = startedAtMs !== undefined;
  }

  /** Whether a checkpoint, output or log lines are unsent. */
  hasUnsentData(): boolean {
    const isUnsent = (pending: { isSent: boolean } | undefined): boolean => pending?.isSent === false;
    return isUnsent(this.checkpoint) || isUnsent(this.output) || this.log.hasUnsent();
  }

  /** Marks an unacknowledged checkpoint and output chunk as unsent. */
  rewindCheckpointAndOutput(): void {
    if (this.checkpoint !== undefined) this.checkpoint.isSent = false;
    if (this.output !== undefined) this.output.isSent = false;
  }

  /** After a lost stream: marks all unacknowledged data as unsent. */
  rewind(): void {
    this.isReportQueued = false;
    this.isDataQueued = false;
    this.isProgressQueued = false;
    this.log.rewind();
    this.rewindCheckpointAndOutput();
  }
}

/** The number of running handlers with a lease and without a report. */
export function countUnreported(attempts: Iterable<HeldAttempt>): number {
  let count = 0;
  for (const held of attempts) if (held.isRunning && held.hasLease && held.report === undefined) count += 1;
  return count;
}

/** The log lines that the server has not acknowledged: limited by a window, sent again after a reconnect. */
export class AttemptLog {
  #unsent: LogEntry[] = [];
  #unacked: LogEntry[] = [];

  constructor(private readonly lease: Lease) {}

  push(entries: readonly LogEntry[]): void {
    this.#unsent.push(...entries);
  }

  hasUnsent(): boolean {
    return this.#unsent.length > 0;
  }

  isEmpty(): boolean {
    return this.#unsent.length === 0 && this.#unacked.length === 0;
  }

  /**
   * The lines of the next frame. Empty when no line is unsent or the window is full. `ignoreWindow` is
   * for an attempt that has finished.
   */
  take(ignoreWindow: boolean): LogLine[] {
    const maxLines = ignoreWindow ? LOG_WINDOW_LINES : LOG_WINDOW_LINES - this.#unacked.length;
    let [count, bytes] = [0, 0];
    for (const entry of this.#unsent) {
      bytes += Buffer.byteLength(entry.text);
      if (count >= maxLines || count >= LOG_WINDOW_LINES || (count > 0 && bytes > MAX_LOG_FRAME_BYTES)) break;
      count += 1;
    }
    const entries = this.#unsent.splice(0, count);
    this.#unacked.push(...entries);
    return entries.map((entry) => this.#toLogLine(entry));
  }

  /** Removes the lines up to `seq`, which the server has stored. */
  ack(seq: bigint): void {
    const firstKept = this.#unacked.findIndex((entry) => entry.seq > seq);
    this.#unacked.splice(0, firstKept === -1 ? this.#unacked.length : firstKept);
  }

  rewind(): void {
    this.#unsent = [...this.#unacked, ...this.#unsent];
    this.#unacked = [];
  }

  clear(): void {
    this.#unsent = [];
    this.#unacked = [];
  }

  #toLogLine(entry: LogEntry): LogLine {
    return create(LogLineSchema, {
      run: this.lease.run,
      attempt: this.lease.attempt,
      seq: BigInt(entry.seq),
      time: wireTimestamp("time", entry.timeMs),
      level: entry.level,
      text: entry.text,
    });
  }
}

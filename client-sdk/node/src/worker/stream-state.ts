/**
 * The state of one session stream: queued frames and their order, and whether the stream is alive. The
 * next Hello creates a new one. State that survives a reconnect is in `HeldAttempt`.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type JobError, ProgressSchema } from "../gen/sentinel/jobs/v1/job_pb.js";
import {
  type Lease,
  type ProgressItem,
  ProgressItemSchema,
  type ReportItem,
  type SessionRequestSchema,
} from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { MAX_CANCEL_ACKS, MAX_ITEMS, MAX_REPORT_BYTES, TIMINGS } from "./constants.js";
import type { HeldAttempt } from "./held-attempt.js";
import type { ProgressUpdate } from "./thread-messages.js";

const DEFAULT_PING_INTERVAL_MS = 2_000;
/** The range to which the server's ping interval is clamped. */
const MIN_PING_INTERVAL_MS = 10;
const MAX_PING_INTERVAL_MS = 60_000;

export type Frame = NonNullable<MessageInitShape<typeof SessionRequestSchema>["frame"]>;

function progressItem(lease: Lease, update: ProgressUpdate): ProgressItem {
  const progress = create(ProgressSchema, { ...update, seq: BigInt(update.seq) });
  return create(ProgressItemSchema, { lease, progress });
}

/** The approximate size of an error in a report. */
function errorBytes(error: JobError | undefined): number {
  return error === undefined ? 0 : error.message.length + error.detail.length;
}

export class StreamState {
  /** Whether Welcome was received. */
  isOpen = false;
  supportsOutput = false;
  /** The attempts in Hello.held, in its order, which is also the order of the verdicts. */
  helloHeld: number[] = [];
  /** Slots granted and not yet used by assignments. */
  grantedSlots = 0;
  /** Payload bytes granted, less the payloads that were assigned. */
  grantedBytes = 0;
  lastAssignSeq = 0n;
  receivedDue = false;
  drainAcked: bigint | undefined;
  goAwayMs: number | undefined;
  lastReceivedMs: number;
  #cancelAcks: Lease[] = [];
  #reports: number[] = [];
  /** Attempts with log lines, a checkpoint or output to send. */
  #data: number[] = [];
  /** Finished attempts whose last log lines and progress are sent before their reports. */
  #finalData: number[] = [];
  #progress: number[] = [];
  #lastProgressMs = -Infinity;
  /** Reports sent and not acknowledged, and the time of the last acknowledgement. */
  #unackedReports = 0;
  #lastReportAckMs: number;
  #pingIntervalMs = DEFAULT_PING_INTERVAL_MS;
  #nextPingMs = 0;
  #pingNonce = 0n;
  #isDrainSent = false;

  constructor(
    private readonly held: ReadonlyMap<number, HeldAttempt>,
    nowMs: number,
  ) {
    this.lastReceivedMs = nowMs;
    this.#lastReportAckMs = nowMs;
  }

  /** Opens the stream after Welcome. */
  open(nowMs: number, pingIntervalMs = DEFAULT_PING_INTERVAL_MS): void {
    this.#pingIntervalMs = Math.min(Math.max(pingIntervalMs, MIN_PING_INTERVAL_MS), MAX_PING_INTERVAL_MS);
    this.isOpen = true;
    this.lastReceivedMs = nowMs;
    this.#nextPingMs = nowMs + this.#pingIntervalMs;
  }

  /** Counts the verdicts on reports. */
  reportsAcked(nowMs: number, count: number): void {
    this.#unackedReports = Math.max(0, this.#unackedReports - count);
    this.#lastReportAckMs = nowMs;
  }

  takeGoAway(): number | undefined {
    const withinMs = this.goAwayMs;
    this.goAwayMs = undefined;
    return withinMs;
  }

  /**
   * Whether the server assigns nothing more and all assignments were received. Nothing arrives without a
   * stream, and assignments that were lost with it go back to their queue.
   */
  allReceived(): boolean {
    return !this.isOpen || (this.drainAcked !== undefined && this.lastAssignSeq >= this.drainAcked);
  }

  // Queues.

  queueCancelAck(lease: Lease): void {
    if (this.#cancelAcks.length < MAX_CANCEL_ACKS) this.#cancelAcks.push(lease);
  }

  queueReport(held: HeldAttempt): void {
    held.isReportQueued = true;
    this.#reports.push(held.localId);
  }

  /** Queues the report of a finished attempt, after its last log lines and progress. */
  queueFinished(held: HeldAttempt): void {
    if (held.log.hasUnsent() || held.progress !== undefined) this.#finalData.push(held.localId);
    this.queueReport(held);
  }

  /** Queues the unsent checkpoint, output, log lines and progress of an attempt. */
  queueData(held: HeldAttempt): void {
    if (!this.isOpen) return;
    if (held.hasUnsentData() && !held.isDataQueued) {
      held.isDataQueued = true;
      this.#data.push(held.localId);
    }
    if (held.progress !== undefined && !held.isProgressQueued) {
      held.isProgressQueued = true;
      this.#progress.push(held.localId);
    }
  }

  // Frames. A frame is created only when the connection accepts one.

  controlFrame(nowMs: number, isDraining: boolean): Frame | undefined {
    if (isDraining && !this.#isDrainSent) {
      this.#isDrainSent = true;
      return { case: "drain", value: {} };
    }
    if (nowMs >= this.#nextPingMs) {
      this.#nextPingMs = nowMs + this.#pingIntervalMs;
      this.#pingNonce += 1n;
      return { case: "ping", value: { nonce: this.#pingNonce } };
    }
    if (this.#cancelAcks.length > 0) {
      return { case: "cancelAck", value: { leases: this.#cancelAcks.splice(0, MAX_ITEMS) } };
    }
    if (!this.receivedDue) return undefined;
    this.receivedDue = false;
    return { case: "received", value: { assignSeq: this.lastAssignSeq } };
  }

  /** The log lines and progress of finished attempts, which precede their reports. */
  finalDataFrame(): Frame | undefined {
    const queue = this.#finalData;
    for (let localId = queue[0]; localId !== undefined; localId = queue[0]) {
      const held = this.held.get(localId);
      const lines = held?.log.take(true) ?? [];
      if (held !== undefined && lines.length > 0) return { case: "log", value: { lease: held.lease, lines } };
      queue.shift();
      if (held?.progress === undefined) continue;
      const items = [progressItem(held.lease, held.progress)];
      held.progress = undefined;
      return { case: "progress", value: { items } };
    }
    return undefined;
  }

  reportFrame(nowMs: number): Frame | undefined {
    const items: ReportItem[] = [];
    let [bytes, count] = [0, 0];
    while (items.length < MAX_ITEMS && bytes < MAX_REPORT_BYTES && count < this.#reports.length) {
      const report = this.held.get(this.#reports[count]!)?.report;
      count += 1;
      if (report === undefined) continue;
      items.push(report);
      if (report.outcome.case === "succeeded") bytes += report.outcome.value.result.length;
      if (report.outcome.case === "failed") bytes += errorBytes(report.outcome.value.error);
    }
    this.#reports.splice(0, count);
    if (items.length === 0) return undefined;
    if (this.#unackedReports === 0) this.#lastReportAckMs = nowMs;
    this.#unackedReports += items.length;
    return { case: "report", value: { items } };
  }

  progressFrame(nowMs: number): Frame | undefined {
    if (this.#progress.length === 0 || nowMs < this.#lastProgressMs + TIMINGS.progressIntervalMs) return undefined;
    const items = [];
    for (const localId of this.#progress.splice(0, MAX_ITEMS)) {
      const held = this.held.get(localId);
      if (held === undefined) continue;
      held.isProgressQueued = false;
      if (held.progress !== undefined) items.push(progressItem(held.lease, held.progress));
      held.progress = undefined;
    }
    // The interval starts when the queue is empty, so one round may need several frames.
    if (this.#progress.length === 0) this.#lastProgressMs = nowMs;
    return items.length === 0 ? undefined : { case: "progress", value: { items } };
  }

  /** A checkpoint, an output chunk or a batch of log lines. Attempts are served round robin. */
  dataFrame(linesAccepted: (localId: number) => void): Frame | undefined {
    const queue = this.#data;
    for (let localId = queue.shift(); localId !== undefined; localId = queue.shift()) {
      const held = this.held.get(localId);
      if (held === undefined) continue;
      if (held.checkpoint !== undefined && !held.checkpoint.isSent) {
        held.checkpoint.isSent = true;
        queue.unshift(localId);
        const { data, seq } = held.checkpoint;
        return { case: "checkpoint", value: { lease: held.lease, data, seq: BigInt(seq) } };
      }
      if (held.output !== undefined && !held.output.isSent) {
        held.output.isSent = true;
        queue.push(localId);
        const { data, offset } = held.output;
        return { case: "output", value: { lease: held.lease, data, offset: BigInt(offset) } };
      }
      const lines = held.log.take(false);
      if (!held.log.hasUnsent() && held.isRunning) linesAccepted(localId);
      if (lines.length === 0) {
        held.isDataQueued = false;
        continue;
      }
      queue.push(localId);
      return { case: "log", value: { lease: held.lease, lines } };
    }
    return undefined;
  }

  // Liveness.

  /** Why the stream is considered dead, or `undefined`. */
  deadReason(nowMs: number): string | undefined {
    if (!this.isOpen) return undefined;
    if (nowMs >= this.lastReceivedMs + this.#silenceTimeoutMs()) {
      return "the server sent no frame within the silence timeout";
    }
    const isAckOverdue = this.#unackedReports > 0 && nowMs >= this.#lastReportAckMs + TIMINGS.ackTimeoutMs;
    return isAckOverdue ? "the server acknowledged no report within the ack timeout" : undefined;
  }

  /** At least 2.5 ping intervals, so that a server with a long interval is not considered dead. */
  #silenceTimeoutMs(): number {
    return Math.max(TIMINGS.silenceTimeoutMs, this.#pingIntervalMs * 2.5);
  }

  nextWakeMs(): number {
    if (!this.isOpen) return Infinity;
    let wakeMs = Math.min(this.lastReceivedMs + this.#silenceTimeoutMs(), this.#nextPingMs);
    if (this.#unackedReports > 0) wakeMs = Math.min(wakeMs, this.#lastReportAckMs + TIMINGS.ackTimeoutMs);
    if (this.#progress.length > 0) wakeMs = Math.min(wakeMs, this.#lastProgressMs + TIMINGS.progressIntervalMs);
    return wakeMs;
  }
}

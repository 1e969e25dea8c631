/**
 * One stream of a session: what is to be sent on it and in which order, and whether it still lives.
 * All of it starts anew with the next Hello; what must outlive a stream is in `Held`.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Lease,
  type ProgressItem,
  ProgressItemSchema,
  type ReportItem,
  type SessionRequestSchema,
} from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { ProgressSchema } from "../gen/sentinel/jobs/v1/job_pb.js";
import type { Held } from "./held.js";
import type { NewProgress } from "./messages.js";
import { MAX_CANCEL_ACKS, MAX_ITEMS, MAX_REPORT_BYTES, TUNING } from "./tuning.js";

const DEFAULT_PING_MS = 2_000;
const MIN_PING_MS = 10;
const MAX_PING_MS = 60_000;

export type Frame = NonNullable<MessageInitShape<typeof SessionRequestSchema>["frame"]>;

function progressItem(lease: Lease, progress: NewProgress): ProgressItem {
  return create(ProgressItemSchema, { lease, progress: create(ProgressSchema, { ...progress, seq: BigInt(progress.seq) }) });
}

export class Link {
  isUp = false;
  /** The server takes output. */
  takesOutput = false;
  /** The attempts named in Hello.held, in its order: the verdicts refer to it. */
  helloHeld: number[] = [];
  creditOut = 0;
  /** Granted, less the payloads that were assigned. */
  bytesOut = 0;
  lastAssignSeq = 0n;
  receivedDue = false;
  drainAcked: bigint | undefined;
  goAwayMs: number | undefined;
  lastHeardMs: number;
  #cancelAcks: Lease[] = [];
  #reports: number[] = [];
  /** Attempts with log lines or a checkpoint to send. */
  #side: number[] = [];
  /** Attempts that ended and whose last words go out before their reports. */
  #lastWords: number[] = [];
  #progress: number[] = [];
  #lastProgressMs = -Infinity;
  /** Reports sent and not acknowledged, and since when nothing was acknowledged. */
  #inFlight = 0;
  #waitsSinceMs: number;
  #pingIntervalMs = DEFAULT_PING_MS;
  #nextPingMs = 0;
  #pingNonce = 0n;
  #drainSent = false;

  constructor(
    private readonly held: ReadonlyMap<number, Held>,
    nowMs: number,
  ) {
    this.lastHeardMs = nowMs;
    this.#waitsSinceMs = nowMs;
  }

  /** The server has said Welcome. */
  open(nowMs: number, pingMs = DEFAULT_PING_MS): void {
    this.#pingIntervalMs = Math.min(Math.max(pingMs, MIN_PING_MS), MAX_PING_MS);
    this.isUp = true;
    this.lastHeardMs = nowMs;
    this.#nextPingMs = nowMs + this.#pingIntervalMs;
  }

  /** So many reports have their verdicts. */
  acknowledged(nowMs: number, reports: number): void {
    this.#inFlight = Math.max(0, this.#inFlight - reports);
    this.#waitsSinceMs = nowMs;
  }

  takeGoAway(): number | undefined {
    const within = this.goAwayMs;
    this.goAwayMs = undefined;
    return within;
  }

  /** Without a stream nothing can arrive; what was assigned and not received goes back by itself. */
  hasArrived(): boolean {
    return !this.isUp || (this.drainAcked !== undefined && this.lastAssignSeq >= this.drainAcked);
  }

  // What waits to be sent.

  queueCancelAck(lease: Lease): void {
    if (this.#cancelAcks.length < MAX_CANCEL_ACKS) this.#cancelAcks.push(lease);
  }

  queueReport(held: Held): void {
    held.isReporting = true;
    this.#reports.push(held.no);
  }

  /** The report of an attempt that has just ended, and before it what its handler said last. */
  queueEnd(held: Held): void {
    if (held.log.hasUnsent() || held.progress !== undefined) this.#lastWords.push(held.no);
    this.queueReport(held);
  }

  /** Checkpoint, output, log lines and progress of an attempt, as far as there are any. */
  queueSide(held: Held): void {
    if (!this.isUp) return;
    if (held.hasSideToSend() && !held.isInSide) {
      held.isInSide = true;
      this.#side.push(held.no);
    }
    if (held.progress !== undefined && !held.isInProgress) {
      held.isInProgress = true;
      this.#progress.push(held.no);
    }
  }

  // The frames, each made when there is room to send it.

  controlFrame(nowMs: number, isDraining: boolean): Frame | undefined {
    if (isDraining && !this.#drainSent) {
      this.#drainSent = true;
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

  lastWordsFrame(): Frame | undefined {
    const lastWords = this.#lastWords;
    for (let no = lastWords[0]; no !== undefined; no = lastWords[0]) {
      const held = this.held.get(no);
      const lines = held?.log.take(true) ?? [];
      if (held !== undefined && lines.length > 0) return { case: "log", value: { lease: held.lease, lines } };
      lastWords.shift();
      if (held?.progress === undefined) continue;
      const items = [progressItem(held.lease, held.progress)];
      held.progress = undefined;
      return { case: "progress", value: { items } };
    }
    return undefined;
  }

  reportFrame(nowMs: number): Frame | undefined {
    const items: ReportItem[] = [];
    let [bytes, taken] = [0, 0];
    while (items.length < MAX_ITEMS && bytes < MAX_REPORT_BYTES && taken < this.#reports.length) {
      const report = this.held.get(this.#reports[taken]!)?.report;
      taken += 1;
      if (report === undefined) continue;
      items.push(report);
      if (report.outcome.case === "succeeded") bytes += report.outcome.value.result.length;
      if (report.outcome.case === "failed") bytes += report.outcome.value.error?.message.length ?? 0;
    }
    this.#reports.splice(0, taken);
    if (items.length === 0) return undefined;
    if (this.#inFlight === 0) this.#waitsSinceMs = nowMs;
    this.#inFlight += items.length;
    return { case: "report", value: { items } };
  }

  progressFrame(nowMs: number): Frame | undefined {
    if (this.#progress.length === 0 || nowMs < this.#lastProgressMs + TUNING.progressIntervalMs) return undefined;
    const items = [];
    for (const no of this.#progress.splice(0, MAX_ITEMS)) {
      const held = this.held.get(no);
      if (held === undefined) continue;
      held.isInProgress = false;
      if (held.progress !== undefined) items.push(progressItem(held.lease, held.progress));
      held.progress = undefined;
    }
    // The interval begins when the last of this round is out.
    if (this.#progress.length === 0) this.#lastProgressMs = nowMs;
    return items.length === 0 ? undefined : { case: "progress", value: { items } };
  }

  /** A checkpoint, a piece of output or a batch of log lines; attempts take turns. */
  sideFrame(tookLines: (no: number) => void): Frame | undefined {
    const side = this.#side;
    for (let no = side.shift(); no !== undefined; no = side.shift()) {
      const held = this.held.get(no);
      if (held === undefined) continue;
      if (held.checkpoint !== undefined && !held.checkpoint.isSent) {
        held.checkpoint.isSent = true;
        side.unshift(no);
        const { data, seq } = held.checkpoint;
        return { case: "checkpoint", value: { lease: held.lease, data, seq: BigInt(seq) } };
      }
      if (held.output !== undefined && !held.output.isSent) {
        held.output.isSent = true;
        side.push(no);
        const { data, offset } = held.output;
        return { case: "output", value: { lease: held.lease, data, offset: BigInt(offset) } };
      }
      const lines = held.log.take(false);
      if (!held.log.hasUnsent() && held.isRunning) tookLines(no);
      if (lines.length === 0) {
        held.isInSide = false;
        continue;
      }
      side.push(no);
      return { case: "log", value: { lease: held.lease, lines } };
    }
    return undefined;
  }

  // Whether it lives.

  /** Why the stream counts as dead: silent, or acknowledging no report. */
  whyDead(nowMs: number): string | undefined {
    if (!this.isUp) return undefined;
    if (nowMs >= this.lastHeardMs + this.#silenceMs()) return "the server went silent";
    const isIgnored = this.#inFlight > 0 && nowMs >= this.#waitsSinceMs + TUNING.ackTimeoutMs;
    return isIgnored ? "the server acknowledged no report for too long" : undefined;
  }

  /** A server that pings seldom must not look dead between two pings. */
  #silenceMs(): number {
    return Math.max(TUNING.silenceMs, this.#pingIntervalMs * 2.5);
  }

  nextWakeMs(): number {
    if (!this.isUp) return Infinity;
    let wake = Math.min(this.lastHeardMs + this.#silenceMs(), this.#nextPingMs);
    if (this.#inFlight > 0) wake = Math.min(wake, this.#waitsSinceMs + TUNING.ackTimeoutMs);
    if (this.#progress.length > 0) wake = Math.min(wake, this.#lastProgressMs + TUNING.progressIntervalMs);
    return wake;
  }
}

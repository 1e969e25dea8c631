/**
 * The rules of a worker's session, without I/O: which attempts this process holds, how much credit it has
 * granted, which frames to send now and which again after a reconnect. The clock is an argument.
 *
 * An attempt is held from its assignment until its handler has finished and its report is settled. Running
 * handlers are counted until they finish, including those that lost their lease, since they still use the
 * machine.
 */
import { create } from "@bufbuild/protobuf";
import { backoffDelayMs } from "../backoff.js";
import { ProtocolError } from "../errors.js";
import {
  type Assign,
  type Assignment,
  type CancelItem,
  type CheckpointAck,
  type Credit,
  CreditSchema,
  HeldVerdict,
  type Hello,
  HelloSchema,
  type Lease,
  type LogAck,
  type OutputAck,
  type ReportAck,
  type Revoked,
  type SessionRequest,
  SessionRequestSchema,
  type SessionResponse,
  Verdict,
  type Welcome,
} from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { durationMs } from "../time.js";
import { MAX_AWAITING_LOG_ACK, TIMINGS } from "./constants.js";
import { CreditAccount } from "./credit.js";
import { Drain } from "./drain.js";
import { countUnreported, HeldAttempt, leaseKey } from "./held-attempt.js";
import { reportedOutcome, reportItem, timedOut } from "./report.js";
import { type Frame, StreamState } from "./stream-state.js";
import {
  type HandlerOutcome,
  type Handlers,
  identity,
  type LogEntry,
  type ProgressUpdate,
  type SessionConfig,
} from "./thread-messages.js";
import { Timers } from "./timers.js";

export class SessionState {
  readonly drain: Drain;
  #session = "";
  readonly #held = new Map<number, HeldAttempt>();
  readonly #byLease = new Map<string, HeldAttempt>();
  #lastLocalId = 0;
  readonly #credit: CreditAccount;
  #unsettledReports = 0;
  #awaitingLogAck = 0;
  readonly #timers = new Timers();
  #stream: StreamState;

  constructor(
    private readonly config: SessionConfig,
    private readonly handlers: Handlers,
    nowMs: number,
    private readonly random: () => number = Math.random,
  ) {
    this.#stream = new StreamState(this.#held, nowMs);
    this.#credit = new CreditAccount(config);
    this.drain = new Drain({
      allReceived: () => this.#stream.allReceived(),
      runningWithoutReport: () => countUnreported(this.#held.values()),
      unsettledReports: () => this.#unsettledReports,
      cancelRunning: () => this.#cancelRunning(),
      releaseRunning: () => this.#releaseRunning(),
    });
  }

  get wasWelcomed(): boolean {
    return this.#session !== "";
  }

  // Streams.

  /** Handles a closed stream. Unacknowledged data is sent again after the next Welcome. */
  disconnected(nowMs: number): void {
    this.#stream = new StreamState(this.#held, nowMs);
    for (const held of [...this.#held.values()]) {
      held.rewind();
      if (!held.awaitsLogAck) continue;
      if (held.awaitedLogAckAtReconnect) this.#remove(held);
      held.awaitedLogAckAtReconnect = true;
    }
  }

  hello(nowMs: number): Hello {
    this.disconnected(nowMs);
    const leased = [...this.#held.values()].filter((held) => held.hasLease);
    this.#stream.helloHeld = leased.map((held) => held.localId);
    return create(HelloSchema, {
      ...identity(this.config),
      session: this.#session,
      held: leased.map((held) => held.lease),
      credit: this.#grantCredit(),
    });
  }

  welcome(nowMs: number, welcome: Welcome): void {
    const helloHeld = this.#stream.helloHeld.splice(0);
    if (welcome.held.length !== helloHeld.length) {
      throw new ProtocolError("Welcome.held and Hello.held differ in length");
    }
    if (welcome.session === "") throw new ProtocolError("Welcome without a session");
    this.#session = welcome.session;
    this.#stream.open(nowMs, welcome.ping && durationMs(welcome.ping));
    this.#stream.supportsOutput = welcome.capabilities.includes("output");
    for (const [index, localId] of helloHeld.entries()) {
      const held = this.#held.get(localId);
      if (held === undefined) continue;
      const verdict = welcome.held[index];
      // KEEP needs no action. An unknown verdict is ignored: the one on the report follows.
      if (verdict === HeldVerdict.REVOKED || (verdict === HeldVerdict.ALREADY_RECORDED && held.isRunning)) {
        this.#leaseLost(nowMs, held);
      } else if (verdict === HeldVerdict.ALREADY_RECORDED) {
        this.#reportSettled(held);
      }
    }
    for (const held of this.#held.values()) {
      this.#stream.queueData(held);
      if (held.report === undefined) continue;
      this.#timers.clear(held.localId, "resend");
      this.#stream.queueReport(held);
    }
  }

  // Frames of the server. A frame may be repeated, late, or about an attempt that this process no longer
  // holds; none of these is an error.

  frame(nowMs: number, response: SessionResponse): void {
    this.#stream.lastReceivedMs = nowMs;
    const { frame } = response;
    switch (frame.case) {
      case "welcome":
        throw new ProtocolError("a second Welcome");
      case "assign":
        return this.#assign(nowMs, frame.value);
      case "reportAck":
        return this.reportAck(nowMs, frame.value);
      case "checkpointAck":
        return this.#checkpointAck(nowMs, frame.value);
      case "outputAck":
        return this.#outputAck(nowMs, frame.value);
      case "logAck":
        return this.#logAck(frame.value);
      case "cancel":
        return this.#cancel(frame.value.items);
      case "pong":
        return this.#cancel(frame.value.cancels);
      case "revoked":
        return this.revoked(nowMs, frame.value);
      case "drainAck":
        this.#stream.drainAcked = frame.value.lastAssignSeq;
        return this.drain.advance(nowMs);
      case "goAway":
        this.#stream.goAwayMs = frame.value.reconnectWithin ? durationMs(frame.value.reconnectWithin) : 0;
        return;
      default:
        // A frame of a newer protocol version.
        return;
    }
  }

  /** Returns, once per GoAway, the time within which the worker should switch to another server. */
  takeGoAway(): number | undefined {
    return this.#stream.takeGoAway();
  }

  #assign(nowMs: number, assign: Assign): void {
    const stream = this.#stream;
    stream.receivedDue = true;
    // A repeated frame: its attempts are held already, only the acknowledgement was lost.
    if (stream.lastAssignSeq > 0n && assign.assignSeq <= stream.lastAssignSeq) return;
    stream.lastAssignSeq = assign.assignSeq;
    for (const item of assign.items) this.#acceptAssignment(item);
    this.drain.advance(nowMs);
  }

  #acceptAssignment(item: Assignment): void {
    const { lease } = item;
    if (lease === undefined) throw new ProtocolError("an assignment without a lease");
    const stream = this.#stream;
    const hadCredit = stream.grantedSlots > 0;
    stream.grantedSlots = Math.max(0, stream.grantedSlots - 1);
    stream.grantedBytes -= item.payload.length;
    const key = leaseKey(lease);
    if (this.#byLease.has(key)) return;
    // Jobs that arrive during a drain or beyond the granted credit are released, not started.
    const starts = !this.drain.hasStarted && hadCredit && this.#credit.hasFreeSlot;
    this.#lastLocalId += 1;
    const runTimeoutMs = item.runTimeout && durationMs(item.runTimeout);
    const startedAtMs = starts ? Date.now() : undefined;
    const held = new HeldAttempt(this.#lastLocalId, lease, item.payload.length, runTimeoutMs, startedAtMs);
    this.#held.set(held.localId, held);
    this.#byLease.set(key, held);
    if (!starts) return this.#report(held, { type: "release" }, false);
    this.#credit.started(held.payloadBytes);
    this.handlers.start(held.localId, item, lease);
  }

  #find(lease: Lease | undefined): HeldAttempt | undefined {
    return lease && this.#byLease.get(leaseKey(lease));
  }

  /** Applies verdicts, including those that arrive on a stream that is being replaced. */
  reportAck(nowMs: number, ack: ReportAck): void {
    this.#stream.reportsAcked(nowMs, ack.items.length);
    for (const item of ack.items) {
      const held = this.#find(item.lease);
      if (held === undefined) continue;
      switch (item.verdict) {
        case Verdict.RECORDED:
        case Verdict.DUPLICATE:
          this.#reportSettled(held);
          break;
        case Verdict.FENCED:
          this.#leaseLost(nowMs, held);
          break;
        default:
          this.#resendLater(nowMs, held);
      }
    }
    this.drain.advance(nowMs);
  }

  #resendLater(nowMs: number, held: HeldAttempt): void {
    held.isReportQueued = false;
    this.#timers.set(held.localId, "resend", nowMs + backoffDelayMs(TIMINGS.resend, held.resends, this.random()));
    held.resends += 1;
  }

  #checkpointAck(nowMs: number, ack: CheckpointAck): void {
    const held = this.#find(ack.lease);
    const pending = held?.checkpoint;
    if (held === undefined || pending === undefined || BigInt(pending.seq) !== ack.seq) return;
    switch (ack.verdict) {
      case Verdict.RECORDED:
      case Verdict.DUPLICATE:
        held.checkpoint = undefined;
        return this.handlers.checkpointResult(held.localId, pending.seq, "stored");
      case Verdict.FENCED:
        return this.#leaseLost(nowMs, held);
      default:
        return this.#resendLater(nowMs, held);
    }
  }

  #outputAck(nowMs: number, ack: OutputAck): void {
    const held = this.#find(ack.lease);
    const pending = held?.output;
    if (held === undefined || pending === undefined || BigInt(pending.offset) !== ack.offset) return;
    switch (ack.verdict) {
      case Verdict.RECORDED:
      case Verdict.DUPLICATE: {
        held.output = undefined;
        const isStored = ack.stored >= BigInt(pending.offset + pending.data.length);
        return this.handlers.outputResult(held.localId, pending.offset, isStored ? "stored" : "rejected");
      }
      case Verdict.FENCED:
        return this.#leaseLost(nowMs, held);
      default:
        return this.#resendLater(nowMs, held);
    }
  }

  #logAck(ack: LogAck): void {
    const held = this.#find(ack.lease);
    if (held === undefined) return;
    held.log.ack(ack.seq);
    this.#stream.queueData(held);
    this.#removeIfDone(held);
  }

  #cancel(items: readonly CancelItem[]): void {
    for (const { lease } of items) {
      if (lease === undefined) continue;
      const held = this.#find(lease);
      if (held?.hasLease && !held.isCancelRequested) {
        held.isCancelRequested = true;
        if (held.isRunning) this.handlers.cancel(held.localId);
      }
      // Unknown and finished attempts are acknowledged too; otherwise the server would repeat the cancel.
      this.#stream.queueCancelAck(lease);
    }
  }

  /** Handles leases that the server has revoked. */
  revoked(nowMs: number, revoked: Revoked): void {
    for (const lease of revoked.leases) {
      const held = this.#find(lease);
      if (held !== undefined) this.#leaseLost(nowMs, held);
    }
    this.drain.advance(nowMs);
  }

  // Messages of handlers.

  handlerStarted(nowMs: number, localId: number): void {
    const held = this.#runningAttempt(localId);
    if (held?.runTimeoutMs === undefined) return;
    this.#timers.set(localId, "runTimeout", nowMs + held.runTimeoutMs);
  }

  handlerFinished(nowMs: number, localId: number, startedAtMs: number | undefined, outcome: HandlerOutcome): void {
    const held = this.#held.get(localId);
    if (held === undefined || !held.isRunning) return;
    if (startedAtMs !== undefined) held.startedAtMs = startedAtMs;
    held.isRunning = false;
    held.checkpoint = undefined;
    held.output = undefined;
    this.#credit.finished(held.payloadBytes);
    this.#timers.clear(localId, "runTimeout");
    this.#timers.clear(localId, "abandon");
    if (!held.hasLease || held.report !== undefined) this.#removeIfDone(held);
    else this.#report(held, reportedOutcome(outcome, held.isCancelRequested, this.drain.isReleasing), false);
    this.drain.advance(nowMs);
  }

  progress(localId: number, progress: ProgressUpdate): void {
    const held = this.#runningAttempt(localId);
    if (held === undefined) return;
    held.progress = progress;
    this.#stream.queueData(held);
  }

  log(localId: number, entries: readonly LogEntry[]): void {
    const held = this.#runningAttempt(localId);
    if (held === undefined) return;
    held.log.push(entries);
    this.#stream.queueData(held);
  }

  checkpoint(localId: number, seq: number, data: Uint8Array): void {
    const held = this.#runningAttempt(localId);
    if (held === undefined) return this.handlers.checkpointResult(localId, seq, "fenced");
    if (held.checkpoint !== undefined) this.handlers.checkpointResult(localId, held.checkpoint.seq, "finished");
    held.checkpoint = { seq, data, isSent: false };
    this.#stream.queueData(held);
  }

  output(localId: number, offset: number, data: Uint8Array): void {
    const held = this.#runningAttempt(localId);
    if (held === undefined) return this.handlers.outputResult(localId, offset, "fenced");
    const { isOpen, supportsOutput } = this.#stream;
    if (isOpen && !supportsOutput) return this.handlers.outputResult(localId, offset, "unsupported");
    held.output = { offset, data, isSent: false };
    this.#stream.queueData(held);
  }

  #runningAttempt(localId: number): HeldAttempt | undefined {
    const held = this.#held.get(localId);
    return held?.isRunning && held.hasLease ? held : undefined;
  }

  // Reports and lost leases.

  #report(held: HeldAttempt, outcome: HandlerOutcome, isTimeout: boolean): void {
    if (held.report === undefined) this.#unsettledReports += 1;
    held.report = reportItem(held, outcome, isTimeout);
    if (this.#stream.isOpen) this.#stream.queueFinished(held);
  }

  /** Handles a lost lease: cancels the handler and sends nothing more about the attempt. */
  #leaseLost(nowMs: number, held: HeldAttempt): void {
    if (!held.hasLease) return;
    held.hasLease = false;
    held.progress = undefined;
    held.log.clear();
    if (held.checkpoint !== undefined) this.handlers.checkpointResult(held.localId, held.checkpoint.seq, "fenced");
    held.checkpoint = undefined;
    if (held.output !== undefined) this.handlers.outputResult(held.localId, held.output.offset, "fenced");
    held.output = undefined;
    if (held.report !== undefined) this.#unsettledReports -= 1;
    held.report = undefined;
    this.#timers.clear(held.localId, "runTimeout");
    this.#timers.clear(held.localId, "resend");
    if (held.isRunning) {
      this.handlers.cancel(held.localId);
      // A handler that ignores the cancel must not keep its slot forever.
      this.#timers.set(held.localId, "abandon", nowMs + TIMINGS.abandonGraceMs);
    }
    this.#removeIfDone(held);
  }

  /** Handles a settled report. Only log lines may still be unacknowledged. */
  #reportSettled(held: HeldAttempt): void {
    if (held.report === undefined) return;
    held.report = undefined;
    this.#unsettledReports -= 1;
    held.hasLease = false;
    this.#timers.clear(held.localId, "resend");
    this.#removeIfDone(held);
  }

  #removeIfDone(held: HeldAttempt): void {
    if (held.isRunning || held.report !== undefined || held.hasLease) return;
    if (held.log.isEmpty() || (!held.awaitsLogAck && this.#awaitingLogAck >= MAX_AWAITING_LOG_ACK)) this.#remove(held);
    else if (!held.awaitsLogAck) {
      held.awaitsLogAck = true;
      this.#awaitingLogAck += 1;
    }
  }

  #remove(held: HeldAttempt): void {
    if (!this.#held.delete(held.localId)) return;
    this.#timers.clearAll(held.localId);
    if (held.awaitsLogAck) this.#awaitingLogAck -= 1;
    this.#byLease.delete(leaseKey(held.lease));
  }

  // Timers.

  advance(nowMs: number): void {
    for (let due = this.#timers.take(nowMs); due !== undefined; due = this.#timers.take(nowMs)) {
      const held = this.#held.get(due.localId);
      if (held === undefined) continue;
      if (due.kind === "runTimeout") this.#timeOut(nowMs, held);
      else if (due.kind === "abandon") this.#abandon(nowMs, held);
      else this.#resend(held);
    }
    this.drain.advance(nowMs);
  }

  #timeOut(nowMs: number, held: HeldAttempt): void {
    if (!held.isRunning || !held.hasLease || held.report !== undefined) return;
    this.handlers.cancel(held.localId);
    this.#timers.set(held.localId, "abandon", nowMs + TIMINGS.abandonGraceMs);
    if (held.isCancelRequested) this.#report(held, { type: "cancelled" }, false);
    else this.#report(held, timedOut(held.runTimeoutMs ?? 0), true);
  }

  #abandon(nowMs: number, held: HeldAttempt): void {
    this.handlers.abandon(held.localId);
    this.handlerFinished(nowMs, held.localId, undefined, { type: "release" });
  }

  #resend(held: HeldAttempt): void {
    if (!this.#stream.isOpen) return;
    if (held.report !== undefined && !held.isReportQueued) this.#stream.queueReport(held);
    held.rewindCheckpointAndOutput();
    this.#stream.queueData(held);
  }

  /** Why the stream is considered dead, or `undefined`. */
  deadReason(nowMs: number): string | undefined {
    return this.#stream.deadReason(nowMs);
  }

  /** The next time at which `advance`, `deadReason` or `nextFrame` may have a different result. */
  nextWakeMs(): number {
    return Math.min(this.#timers.nextMs() ?? Infinity, this.drain.untilMs ?? Infinity, this.#stream.nextWakeMs());
  }

  // Frames to send, created only when the connection accepts one: unsent data stays here, where it is merged.

  /**
   * The most urgent frame, if any: heartbeats and cancel acknowledgements first, then reports, then credit, then
   * progress, checkpoints, output and logs. A handler that logs a lot never delays a report.
   */
  nextFrame(nowMs: number): SessionRequest | undefined {
    if (!this.#stream.isOpen) return undefined;
    const stream = this.#stream;
    const frame =
      stream.controlFrame(nowMs, this.drain.hasStarted) ??
      stream.finalDataFrame() ??
      stream.reportFrame(nowMs) ??
      this.#creditFrame() ??
      stream.progressFrame(nowMs) ??
      stream.dataFrame((localId) => this.handlers.linesAccepted(localId));
    return frame && create(SessionRequestSchema, { frame });
  }

  #creditFrame(): Frame | undefined {
    if (this.drain.hasStarted || !this.#credit.isAvailable(this.#stream, this.#unsettledReports)) return undefined;
    return { case: "credit", value: this.#grantCredit() };
  }

  #grantCredit(): Credit {
    if (this.drain.hasStarted) return create(CreditSchema, { jobs: 0, bytes: 1n });
    return this.#credit.grant(this.#stream, this.#unsettledReports);
  }

  #cancelRunning(): void {
    for (const held of this.#held.values()) if (held.isRunning) this.handlers.cancel(held.localId);
  }

  #releaseRunning(): void {
    for (const held of this.#held.values()) {
      if (!held.isRunning || held.report !== undefined) continue;
      this.handlers.abandon(held.localId);
      if (held.hasLease) this.#report(held, { type: "release" }, false);
    }
  }
}

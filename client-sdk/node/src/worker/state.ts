/**
 * The rules of a worker's session, without IO: which attempts this process holds, how much room it
 * has granted, what is to be sent now and what again after a break. The clock is an argument.
 *
 * An attempt is held from its assignment until its handler has ended and its report is settled.
 * Running handlers are counted until they end, also those whose lease is lost: they use the
 * machine all the same.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Assign,
  type Assignment,
  type CancelItem,
  type CheckpointAck,
  type Credit,
  CreditSchema,
  type Hello,
  HelloSchema,
  HeldVerdict,
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
import { pauseMs } from "../backoff.js";
import { ProtocolError } from "../errors.js";
import { durationMs } from "../time.js";
import { Drain } from "./drain.js";
import { Held, leaseKey } from "./held.js";
import { type Frame, Link } from "./link.js";
import type { Ended, Handlers, Line, NewProgress, Setup } from "./messages.js";
import { reportItem, timedOut, toReport } from "./report.js";
import { Timers } from "./timers.js";
import { MAX_LINGERING, TUNING } from "./tuning.js";

export class SessionState {
  readonly drain: Drain;
  #session = "";
  readonly #held = new Map<number, Held>();
  readonly #byLease = new Map<string, Held>();
  #lastNo = 0;
  #running = 0;
  #runningBytes = 0;
  #unacked = 0;
  #lingering = 0;
  readonly #timers = new Timers();
  #link: Link;

  constructor(
    private readonly setup: Setup,
    private readonly handlers: Handlers,
    nowMs: number,
    private readonly random: () => number = Math.random,
  ) {
    this.#link = new Link(this.#held, nowMs);
    this.drain = new Drain({
      hasArrived: () => this.#link.hasArrived(),
      unreported: () => this.#unreported(),
      unacked: () => this.#unacked,
      cancelRunning: () => this.#cancelRunning(),
      releaseRest: () => this.#releaseRest(),
    });
  }

  get wasWelcomed(): boolean {
    return this.#session !== "";
  }

  // Streams come and go.

  /** The stream is gone. What it carried and was not acknowledged goes out after the next Welcome. */
  disconnected(nowMs: number): void {
    this.#link = new Link(this.#held, nowMs);
    for (const held of [...this.#held.values()]) {
      held.rewind();
      if (!held.isLingering) continue;
      if (held.brokeWhileLingering) this.#forget(held);
      held.brokeWhileLingering = true;
    }
  }

  hello(nowMs: number): Hello {
    this.disconnected(nowMs);
    const live = [...this.#held.values()].filter((held) => held.isLeaseLive);
    this.#link.helloHeld = live.map((held) => held.no);
    return create(HelloSchema, {
      instance: this.setup.instance,
      build: this.setup.build,
      queues: [...this.setup.queues],
      kinds: this.setup.kinds.map(({ name, description }) => ({ name, description })),
      labels: { ...this.setup.labels },
      session: this.#session,
      held: live.map((held) => held.lease),
      credit: this.#grant(),
    });
  }

  welcome(nowMs: number, welcome: Welcome): void {
    const asked = this.#link.helloHeld.splice(0);
    if (welcome.held.length !== asked.length) {
      throw new ProtocolError("Welcome.held has another length than Hello.held");
    }
    if (welcome.session === "") throw new ProtocolError("Welcome without a session");
    this.#session = welcome.session;
    this.#link.open(nowMs, welcome.ping && durationMs(welcome.ping));
    this.#link.takesOutput = welcome.capabilities.includes("output");
    asked.forEach((no, index) => {
      const held = this.#held.get(no);
      if (held === undefined) return;
      switch (welcome.held[index]) {
        case HeldVerdict.REVOKED:
          return this.#lose(nowMs, held);
        case HeldVerdict.ALREADY_RECORDED:
          return held.isRunning ? this.#lose(nowMs, held) : this.#settle(held);
        default:
          // KEEP, or an unknown verdict: the one on the report will tell.
          return;
      }
    });
    for (const held of this.#held.values()) {
      this.#link.queueSide(held);
      if (held.report === undefined) continue;
      this.#timers.clear(held.no, "resend");
      this.#link.queueReport(held);
    }
  }

  // What the server says. Everything may come twice, late, or about attempts that this process no
  // longer knows; none of that is an error.

  frame(nowMs: number, response: SessionResponse): void {
    this.#link.lastHeardMs = nowMs;
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
        this.#link.drainAcked = frame.value.lastAssignSeq;
        return this.drain.advance(nowMs);
      case "goAway":
        this.#link.goAwayMs = frame.value.reconnectWithin ? durationMs(frame.value.reconnectWithin) : 0;
        return;
      default:
        // A frame of a later version: the capabilities of Hello did not ask for it.
        return;
    }
  }

  /** How soon the server wants to be left, once after each GoAway. */
  takeGoAway(): number | undefined {
    return this.#link.takeGoAway();
  }

  #assign(nowMs: number, assign: Assign): void {
    const link = this.#link;
    link.receivedDue = true;
    // A repeat: what it carried is held already; it only wants to be told so.
    if (link.lastAssignSeq > 0n && assign.assignSeq <= link.lastAssignSeq) return;
    link.lastAssignSeq = assign.assignSeq;
    for (const item of assign.items) this.#take(nowMs, item);
    this.drain.advance(nowMs);
  }

  #take(nowMs: number, item: Assignment): void {
    const { lease } = item;
    if (lease === undefined) throw new ProtocolError("an assignment without a lease");
    const link = this.#link;
    const hadCredit = link.creditOut > 0;
    link.creditOut = Math.max(0, link.creditOut - 1);
    link.bytesOut -= item.payload.length;
    const key = leaseKey(lease);
    if (this.#byLease.has(key)) return;
    // Not started: after Drain nothing new begins, and a server that sends more than it was
    // granted must not make this process grow.
    const starts = !this.drain.hasBegun && hadCredit && this.#running < this.setup.slots;
    this.#lastNo += 1;
    const runTimeoutMs = item.runTimeout && durationMs(item.runTimeout);
    const startedAtMs = starts ? Date.now() : undefined;
    const held = new Held(this.#lastNo, lease, item.payload.length, runTimeoutMs, startedAtMs);
    this.#held.set(held.no, held);
    this.#byLease.set(key, held);
    if (!starts) return this.#report(held, { type: "release" }, false);
    this.#running += 1;
    this.#runningBytes += held.payloadBytes;
    if (runTimeoutMs !== undefined) this.#timers.set(held.no, "runTimeout", nowMs + runTimeoutMs);
    this.handlers.start(held.no, item, lease);
  }

  #find(lease: Lease | undefined): Held | undefined {
    return lease && this.#byLease.get(leaseKey(lease));
  }

  /** Verdicts also count when they come on a stream that is being left. */
  reportAck(nowMs: number, ack: ReportAck): void {
    this.#link.acknowledged(nowMs, ack.items.length);
    for (const item of ack.items) {
      const held = this.#find(item.lease);
      if (held === undefined) continue;
      switch (item.verdict) {
        case Verdict.RECORDED:
        case Verdict.DUPLICATE:
          this.#settle(held);
          break;
        case Verdict.FENCED:
          this.#lose(nowMs, held);
          break;
        default:
          this.#resendLater(nowMs, held);
      }
    }
    this.drain.advance(nowMs);
  }

  #resendLater(nowMs: number, held: Held): void {
    held.isReporting = false;
    this.#timers.set(held.no, "resend", nowMs + pauseMs(TUNING.resend, held.resends, this.random()));
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
        return this.handlers.checkpointed(held.no, pending.seq, "stored");
      case Verdict.FENCED:
        return this.#lose(nowMs, held);
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
        const isTaken = ack.stored >= BigInt(pending.offset + pending.data.length);
        return this.handlers.handed(held.no, pending.offset, isTaken ? "stored" : "not_taken");
      }
      case Verdict.FENCED:
        return this.#lose(nowMs, held);
      default:
        return this.#resendLater(nowMs, held);
    }
  }

  #logAck(ack: LogAck): void {
    const held = this.#find(ack.lease);
    if (held === undefined) return;
    held.log.ack(ack.seq);
    this.#link.queueSide(held);
    this.#forgetIfDone(held);
  }

  #cancel(items: readonly CancelItem[]): void {
    for (const { lease } of items) {
      if (lease === undefined) continue;
      const held = this.#find(lease);
      if (held?.isLeaseLive && !held.isCancelRequested) {
        held.isCancelRequested = true;
        if (held.isRunning) this.handlers.cancel(held.no);
      }
      // Acknowledged also when the handler has ended or was never here: only the answer stops
      // the repeats.
      this.#link.queueCancelAck(lease);
    }
  }

  /** Leases that the server has taken back. */
  revoked(nowMs: number, revoked: Revoked): void {
    for (const lease of revoked.leases) {
      const held = this.#find(lease);
      if (held !== undefined) this.#lose(nowMs, held);
    }
    this.drain.advance(nowMs);
  }

  // What handlers say.

  finished(nowMs: number, no: number, startedAtMs: number | undefined, ended: Ended): void {
    const held = this.#held.get(no);
    if (held === undefined || !held.isRunning) return;
    if (startedAtMs !== undefined) held.startedAtMs = startedAtMs;
    held.isRunning = false;
    held.checkpoint = undefined;
    held.output = undefined;
    this.#running -= 1;
    this.#runningBytes -= held.payloadBytes;
    this.#timers.clear(no, "runTimeout");
    this.#timers.clear(no, "abandon");
    if (!held.isLeaseLive || held.report !== undefined) this.#forgetIfDone(held);
    else this.#report(held, toReport(ended, held.isCancelRequested, this.drain.isReleasing), false);
    this.drain.advance(nowMs);
  }

  progressed(no: number, progress: NewProgress): void {
    const held = this.#writer(no);
    if (held === undefined) return;
    held.progress = progress;
    this.#link.queueSide(held);
  }

  logged(no: number, lines: readonly Line[]): void {
    const held = this.#writer(no);
    if (held === undefined) return;
    held.log.push(lines);
    this.#link.queueSide(held);
  }

  checkpoint(no: number, seq: number, data: Uint8Array): void {
    const held = this.#writer(no);
    if (held === undefined) return this.handlers.checkpointed(no, seq, "fenced");
    if (held.checkpoint !== undefined) this.handlers.checkpointed(no, held.checkpoint.seq, "ended");
    held.checkpoint = { seq, data, isSent: false };
    this.#link.queueSide(held);
  }

  output(no: number, offset: number, data: Uint8Array): void {
    const held = this.#writer(no);
    if (held === undefined) return this.handlers.handed(no, offset, "fenced");
    if (this.#link.isUp && !this.#link.takesOutput) return this.handlers.handed(no, offset, "unsupported");
    held.output = { offset, data, isSent: false };
    this.#link.queueSide(held);
  }

  #writer(no: number): Held | undefined {
    const held = this.#held.get(no);
    return held?.isRunning && held.isLeaseLive ? held : undefined;
  }

  // How attempts end.

  #report(held: Held, ended: Ended, isTimeout: boolean): void {
    if (held.report === undefined) this.#unacked += 1;
    held.report = reportItem(held, ended, isTimeout);
    if (this.#link.isUp) this.#link.queueEnd(held);
  }

  /** The lease is lost: the handler is told to stop and nothing more is sent about it. */
  #lose(nowMs: number, held: Held): void {
    if (!held.isLeaseLive) return;
    held.isLeaseLive = false;
    held.progress = undefined;
    held.log.clear();
    if (held.checkpoint !== undefined) this.handlers.checkpointed(held.no, held.checkpoint.seq, "fenced");
    held.checkpoint = undefined;
    if (held.output !== undefined) this.handlers.handed(held.no, held.output.offset, "fenced");
    held.output = undefined;
    if (held.report !== undefined) this.#unacked -= 1;
    held.report = undefined;
    this.#timers.clear(held.no, "runTimeout");
    this.#timers.clear(held.no, "resend");
    if (held.isRunning) {
      this.handlers.cancel(held.no);
      // A handler that ignores the cancel must not hold its slot for ever.
      this.#timers.set(held.no, "abandon", nowMs + TUNING.abandonGraceMs);
    }
    this.#forgetIfDone(held);
  }

  /** The report is the record; only log lines may still be on their way. */
  #settle(held: Held): void {
    if (held.report === undefined) return;
    held.report = undefined;
    this.#unacked -= 1;
    held.isLeaseLive = false;
    this.#timers.clear(held.no, "resend");
    this.#forgetIfDone(held);
  }

  #forgetIfDone(held: Held): void {
    if (held.isRunning || held.report !== undefined || held.isLeaseLive) return;
    if (held.log.isEmpty() || (!held.isLingering && this.#lingering >= MAX_LINGERING)) this.#forget(held);
    else if (!held.isLingering) {
      held.isLingering = true;
      this.#lingering += 1;
    }
  }

  #forget(held: Held): void {
    if (!this.#held.delete(held.no)) return;
    this.#timers.clearAll(held.no);
    if (held.isLingering) this.#lingering -= 1;
    this.#byLease.delete(leaseKey(held.lease));
  }

  // Time.

  advance(nowMs: number): void {
    for (let due = this.#timers.take(nowMs); due !== undefined; due = this.#timers.take(nowMs)) {
      const held = this.#held.get(due.no);
      if (held === undefined) continue;
      if (due.kind === "runTimeout") this.#timeOut(nowMs, held);
      else if (due.kind === "abandon") this.#abandon(nowMs, held);
      else this.#resend(held);
    }
    this.drain.advance(nowMs);
  }

  #timeOut(nowMs: number, held: Held): void {
    if (!held.isRunning || !held.isLeaseLive || held.report !== undefined) return;
    this.handlers.cancel(held.no);
    this.#timers.set(held.no, "abandon", nowMs + TUNING.abandonGraceMs);
    if (held.isCancelRequested) this.#report(held, { type: "cancelled" }, false);
    else this.#report(held, timedOut(held.runTimeoutMs ?? 0), true);
  }

  #abandon(nowMs: number, held: Held): void {
    this.handlers.abandon(held.no);
    this.finished(nowMs, held.no, undefined, { type: "release" });
  }

  #resend(held: Held): void {
    if (!this.#link.isUp) return;
    if (held.report !== undefined && !held.isReporting) this.#link.queueReport(held);
    held.unsend();
    this.#link.queueSide(held);
  }

  /** Why the stream counts as dead, if it does. */
  whyDead(nowMs: number): string | undefined {
    return this.#link.whyDead(nowMs);
  }

  /** When there may be something new to do or to say. */
  nextWakeMs(): number {
    return Math.min(this.#timers.nextMs() ?? Infinity, this.drain.untilMs ?? Infinity, this.#link.nextWakeMs());
  }

  // Room for more jobs.

  /** Slots that are neither used nor granted; reports that wait for their verdicts bound them, too. */
  #grantable(): number {
    if (this.drain.hasBegun) return 0;
    const out = this.#link.creditOut;
    const { slots } = this.setup;
    const bySlots = slots - this.#running - out;
    const byReports = Math.max(slots * 2, 10_000) - this.#unacked - out;
    return Math.max(0, Math.min(bySlots, byReports));
  }

  #grantableBytes(): number {
    if (this.drain.hasBegun || this.setup.payloadBytes === 0) return 0;
    return this.setup.payloadBytes - this.#runningBytes - this.#link.bytesOut;
  }

  #grant(): Credit {
    const jobs = this.#grantable();
    // 0 would lift the bound; a byte too much is less than a job too much.
    const bytes = this.setup.payloadBytes === 0 ? 0 : Math.max(1, this.#grantableBytes());
    this.#link.creditOut += jobs;
    this.#link.bytesOut += bytes;
    return create(CreditSchema, { jobs, bytes: BigInt(bytes) });
  }

  // What is to be sent next. Frames are made when there is room to send them, so that all that
  // waits travels together and nothing queues outside of this state.

  /**
   * The most urgent frame, if any. Signs of life and cancels before reports, reports before room
   * for more jobs, progress and logs last: a chatty job never delays a report.
   */
  nextFrame(nowMs: number): SessionRequest | undefined {
    if (!this.#link.isUp) return undefined;
    const link = this.#link;
    const frame =
      link.controlFrame(nowMs, this.drain.hasBegun) ??
      link.lastWordsFrame() ??
      link.reportFrame(nowMs) ??
      this.#creditFrame() ??
      link.progressFrame(nowMs) ??
      link.sideFrame((no) => this.handlers.tookLines(no));
    return frame && create(SessionRequestSchema, { frame });
  }

  #creditFrame(): Frame | undefined {
    if (this.#grantable() <= 0 && this.#grantableBytes() <= 0) return undefined;
    return { case: "credit", value: this.#grant() };
  }

  // What a drain asks and does.

  #unreported(): number {
    let count = 0;
    for (const held of this.#held.values()) {
      if (held.isRunning && held.isLeaseLive && held.report === undefined) count += 1;
    }
    return count;
  }

  #cancelRunning(): void {
    for (const held of this.#held.values()) if (held.isRunning) this.handlers.cancel(held.no);
  }

  #releaseRest(): void {
    for (const held of this.#held.values()) {
      if (!held.isRunning || held.report !== undefined) continue;
      this.handlers.abandon(held.no);
      if (held.isLeaseLive) this.#report(held, { type: "release" }, false);
    }
  }
}

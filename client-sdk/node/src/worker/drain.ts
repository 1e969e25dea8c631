/**
 * Graceful shutdown: take no new jobs, give running ones time to finish, release the rest, wait for the
 * last acknowledgements, send Bye.
 */
import { TIMINGS } from "./constants.js";

/** What a drain reads and requests from the session state. */
interface DrainingSession {
  /** Whether the server assigns nothing more and all assignments were received. */
  allReceived(): boolean;
  /** The number of running handlers with a lease and without a report. */
  runningWithoutReport(): number;
  unsettledReports(): number;
  cancelRunning(): void;
  /** Releases the jobs that still run. */
  releaseRunning(): void;
}

type Phase = "notStarted" | "waitingForHandlers" | "releasing" | "awaitingAcks" | "complete";

export class Drain {
  #phase: Phase = "notStarted";
  #untilMs: number | undefined;

  constructor(private readonly session: DrainingSession) {}

  get hasStarted(): boolean {
    return this.#phase !== "notStarted";
  }

  get isReleasing(): boolean {
    return this.#phase === "releasing" || this.#phase === "awaitingAcks";
  }

  get isComplete(): boolean {
    return this.#phase === "complete";
  }

  /** When the current phase ends at the latest. */
  get untilMs(): number | undefined {
    return this.#untilMs;
  }

  begin(nowMs: number, untilMs: number): void {
    if (this.hasStarted) return;
    this.#enter("waitingForHandlers", untilMs);
    this.advance(nowMs);
  }

  advance(nowMs: number): void {
    const { session } = this;
    const isOver = this.#untilMs !== undefined && nowMs >= this.#untilMs;
    switch (this.#phase) {
      case "notStarted":
      case "complete":
        return;
      case "waitingForHandlers":
        if (session.allReceived() && session.runningWithoutReport() === 0 && session.unsettledReports() === 0) {
          return this.#enter("complete", undefined);
        }
        if (!isOver) return;
        // Entered before the cancel, so that a handler that stops at once is released, not failed.
        this.#enter("releasing", nowMs + TIMINGS.releaseGraceMs);
        session.cancelRunning();
        return this.advance(nowMs);
      case "releasing":
        if (session.runningWithoutReport() > 0 && !isOver) return;
        this.#enter("awaitingAcks", nowMs + TIMINGS.finalAckTimeoutMs);
        session.releaseRunning();
        return this.advance(nowMs);
      case "awaitingAcks":
        if (session.unsettledReports() === 0 || isOver) this.#enter("complete", undefined);
        return;
    }
  }

  #enter(phase: Phase, untilMs: number | undefined): void {
    this.#phase = phase;
    this.#untilMs = untilMs;
  }
}

/**
 * Leaving in good order: no new jobs, then the running ones get their time, then what is left is
 * handed back, then the last acknowledgements, then Bye.
 */
import { TUNING } from "./tuning.js";

/** What a drain needs to know of the session, and has done by it. */
interface Session {
  /** The server will assign nothing more, and everything assigned has arrived. */
  hasArrived(): boolean;
  /** Handlers that run under a live lease. */
  unreported(): number;
  unacked(): number;
  cancelRunning(): void;
  /** Hands back what still runs. */
  releaseRest(): void;
}

type Step = "no" | "waiting" | "releasing" | "lastAcks" | "done";

export class Drain {
  #step: Step = "no";
  #untilMs: number | undefined;

  constructor(private readonly session: Session) {}

  get hasBegun(): boolean {
    return this.#step !== "no";
  }

  get isReleasing(): boolean {
    return this.#step === "releasing" || this.#step === "lastAcks";
  }

  /** Nothing is left to wait for. */
  get isDone(): boolean {
    return this.#step === "done";
  }

  /** When the present step ends at the latest. */
  get untilMs(): number | undefined {
    return this.#untilMs;
  }

  begin(nowMs: number, untilMs: number): void {
    if (this.hasBegun) return;
    this.#enter("waiting", untilMs);
    this.advance(nowMs);
  }

  advance(nowMs: number): void {
    const { session } = this;
    const isOver = this.#untilMs !== undefined && nowMs >= this.#untilMs;
    switch (this.#step) {
      case "no":
      case "done":
        return;
      case "waiting":
        if (session.hasArrived() && session.unreported() === 0 && session.unacked() === 0) {
          return this.#enter("done", undefined);
        }
        if (!isOver) return;
        // Entered first: a handler that stops at once is handed back, not failed.
        this.#enter("releasing", nowMs + TUNING.releaseGraceMs);
        session.cancelRunning();
        return this.advance(nowMs);
      case "releasing":
        if (session.unreported() > 0 && !isOver) return;
        this.#enter("lastAcks", nowMs + TUNING.lastAcksTimeoutMs);
        session.releaseRest();
        return this.advance(nowMs);
      case "lastAcks":
        if (session.unacked() === 0 || isOver) this.#enter("done", undefined);
        return;
    }
  }

  #enter(step: Step, untilMs: number | undefined): void {
    this.#step = step;
    this.#untilMs = untilMs;
  }
}

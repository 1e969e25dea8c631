/**
 * When a call is tried again (after AIP-194): only when there was no answer or UNAVAILABLE, with
 * pauses that grow and are drawn at random, within the call's deadline, and as long as the client's
 * budget lasts, so that a fleet of clients does not hold down a server that is overloaded. The
 * numbers are those of the Rust SDK; clock and dice are arguments.
 */
import { pauseMs } from "./backoff.js";
import { ApiError, isUnavailable, type SentinelError } from "./errors.js";

/** Tries of one call, the first included. */
const MAX_TRIES = 4;
const PAUSE = { baseMs: 100, capMs: 2_000 };

/**
 * A failed try takes a token, an answer gives a tenth back; below half of all of them nothing is
 * repeated: beyond 50 failures in a row, and then while over a tenth of the tries fail. In tenths.
 */
const BUDGET_MAX = 1_000;
const FAILURE_COST = 10;
const ANSWER_GAIN = 1;

/** What is left for repeats; all calls of a client share it. */
export class Budget {
  #tenths = BUDGET_MAX;

  answered(): void {
    this.#tenths = Math.min(BUDGET_MAX, this.#tenths + ANSWER_GAIN);
  }

  /** Whether a repeat may follow. */
  failed(): boolean {
    this.#tenths = Math.max(0, this.#tenths - FAILURE_COST);
    return this.#tenths > BUDGET_MAX / 2;
  }
}

/** The tries of one call. */
export class Tries {
  #failures = 0;

  constructor(
    private readonly budget: Budget,
    private readonly endsAtMs: number,
  ) {}

  /** How long the next try may take. */
  leftMs(nowMs: number): number {
    return Math.max(0, this.endsAtMs - nowMs);
  }

  answered(): void {
    this.budget.answered();
  }

  /** The pause before the next try; `undefined`: that was the last one. `unit` is uniform in 0..1. */
  failed(error: SentinelError, nowMs: number, unit: number): number | undefined {
    this.#failures += 1;
    if (!isUnavailable(error)) {
      // A refusal is an answer.
      this.budget.answered();
      return undefined;
    }
    const isAllowed = this.budget.failed() && this.#failures < MAX_TRIES;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const pause = Math.max(pauseMs(PAUSE, this.#failures - 1, unit), asked);
    return isAllowed && pause < this.leftMs(nowMs) ? pause : undefined;
  }
}

/**
 * When a call is retried (after AIP-194): only when there was no response or UNAVAILABLE, with
 * exponential backoff and jitter, within the call's deadline, and while the client's retry throttle
 * allows it. The throttle (gRPC A6) keeps many clients from overloading a server that is already
 * failing. The constants are those of the Rust SDK.
 */
import { backoffDelayMs } from "./backoff.js";
import { ApiError, isUnavailable, type SentinelError } from "./errors.js";

/** RPC attempts of one call, the first one included. */
const MAX_RPC_ATTEMPTS = 4;
const BACKOFF = { baseMs: 100, capMs: 2_000 };

/**
 * Tokens of the throttle, in tenths. A failure costs one token, a response returns a tenth. Below half
 * of the maximum no call is retried: that is after 50 failures in a row, and then while more than a
 * tenth of the RPC attempts fail.
 */
const MAX_TOKENS = 1_000;
const FAILURE_COST = 10;
const RESPONSE_GAIN = 1;

/** A token bucket that stops retries while too many RPC attempts fail. Shared by all calls of a client. */
export class RetryThrottle {
  #tokens = MAX_TOKENS;

  recordResponse(): void {
    this.#tokens = Math.min(MAX_TOKENS, this.#tokens + RESPONSE_GAIN);
  }

  /** Takes the cost of a failure; returns whether a retry is allowed. */
  recordFailure(): boolean {
    this.#tokens = Math.max(0, this.#tokens - FAILURE_COST);
    return this.#tokens > MAX_TOKENS / 2;
  }
}

/** The retry state of one call. */
export class CallRetry {
  #failures = 0;

  constructor(
    private readonly throttle: RetryThrottle,
    private readonly deadlineMs: number,
  ) {}

  /** The time until the call's deadline. */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.deadlineMs - nowMs);
  }

  succeeded(): void {
    this.throttle.recordResponse();
  }

  /**
   * Records a failure and returns the delay before the next RPC attempt, or `undefined` when the call
   * must not be retried. `jitter` is uniform in 0..1.
   */
  nextDelayMs(error: SentinelError, nowMs: number, jitter: number): number | undefined {
    this.#failures += 1;
    if (!isUnavailable(error)) {
      // The server responded, so it is not overloaded.
      this.throttle.recordResponse();
      return undefined;
    }
    const isAllowed = this.throttle.recordFailure() && this.#failures < MAX_RPC_ATTEMPTS;
    const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = Math.max(backoffDelayMs(BACKOFF, this.#failures - 1, jitter), retryAfterMs);
    return isAllowed && delayMs < this.remainingMs(nowMs) ? delayMs : undefined;
  }
}

/**
 * When a call is retried: until its deadline, while there is no response, or the server is unavailable or
 * overloaded and says when to come back. All calls of the client are safe to repeat. A budget that all calls of a
 * client share limits the rate of retries, so that many failing calls do not overload a server that is already
 * failing; a call without budget waits, it does not fail.
 */
import { Code } from "@connectrpc/connect";
import { onAbort } from "./abort.js";
import { backoffDelayMs } from "./backoff.js";
import { ApiError, CallTimeoutError, isUnavailable, type SentinelError } from "./errors.js";

const BACKOFF = { baseMs: 100, capMs: 2_000 };

/** Retries that are possible at once, and how many are added per second and per response. */
const MAX_RETRIES = 100;
const RETRIES_PER_SECOND = 20;
const RETRIES_PER_RESPONSE = 1;

/** The retry budget of a client: a token bucket. Calls without a token wait, first come, first served. */
export class RetryBudget {
  #tokens = MAX_RETRIES;
  #refilledMs: number;
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly now: () => number = () => performance.now()) {
    this.#refilledMs = now();
  }

  /** A response shows that the server works, so that waiting calls may follow. */
  recordResponse(): void {
    this.#add(RETRIES_PER_RESPONSE);
  }

  /** Waits until a retry is allowed, or the signal is aborted. */
  acquire(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const granted = () => {
        this.#waiting.delete(granted);
        cancel();
        resolve();
      };
      const cancel = onAbort(signal, granted);
      this.#waiting.add(granted);
      this.#grant();
    });
  }

  #grant(): void {
    const nowMs = this.now();
    const refill = ((nowMs - this.#refilledMs) * RETRIES_PER_SECOND) / 1000;
    this.#refilledMs = nowMs;
    this.#add(refill);
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(MAX_RETRIES, this.#tokens + tokens);
    for (const granted of this.#waiting) {
      if (this.#tokens < 1) break;
      this.#tokens -= 1;
      granted();
    }
    clearTimeout(this.#timer);
    if (this.#waiting.size > 0) this.#timer = setTimeout(() => this.#grant(), 1000 / RETRIES_PER_SECOND);
  }
}

/** The retry state of one call. */
export class CallRetry {
  #failures = 0;

  constructor(private readonly deadlineMs: number) {}

  /** The time until the call's deadline. */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.deadlineMs - nowMs);
  }

  /**
   * Records a failure and returns the delay before the next RPC attempt, or `undefined` when the call must not be
   * retried, because of the error or the deadline. `jitter` is uniform in 0..1.
   */
  nextDelayMs(error: SentinelError, nowMs: number, jitter: number): number | undefined {
    if (!isRetryable(error)) return undefined;
    this.#failures += 1;
    const retryAfterMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = Math.max(backoffDelayMs(BACKOFF, this.#failures - 1, jitter), retryAfterMs);
    return delayMs < this.remainingMs(nowMs) ? delayMs : undefined;
  }
}

/** A call without a response within the limit of one RPC attempt is like a lost connection. */
function isRetryable(error: SentinelError): boolean {
  if (isUnavailable(error) || error instanceof CallTimeoutError) return true;
  return error instanceof ApiError && error.code === Code.ResourceExhausted && error.retryAfterMs !== undefined;
}

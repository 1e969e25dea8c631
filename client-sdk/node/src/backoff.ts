/** Exponential backoff with full jitter, so that clients that failed together do not retry together. */
import { onAbort } from "./abort.js";

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The delay after `failures + 1` failures in a row. `jitter` is uniform in 0..1. */
export function backoffDelayMs(backoff: Backoff, failures: number, jitter: number): number {
  return Math.min(backoff.baseMs * 2 ** Math.min(failures, 20), backoff.capMs) * jitter;
}

/** As `backoffDelayMs`, but the first reconnect after a healthy connection is immediate. */
export function reconnectDelayMs(backoff: Backoff, failures: number, jitter: number): number {
  return failures === 0 ? 0 : backoffDelayMs(backoff, failures - 1, jitter);
}

/** Resolves after `ms`, or early and without an error when the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      release();
      resolve();
    };
    const timer = setTimeout(done, ms);
    const release = onAbort(signal, done);
  });
}

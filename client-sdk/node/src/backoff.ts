/** Pauses between tries, with full jitter, so that clients that failed together do not return together. */

export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/** The pause before try `failures + 1`; `unit` is uniform in 0..1. */
export function pauseMs(backoff: Backoff, failures: number, unit: number): number {
  return Math.min(backoff.baseMs * 2 ** Math.min(failures, 20), backoff.capMs) * unit;
}

/** As `pauseMs`, but the first redial after a healthy connection is immediate. */
export function redialMs(backoff: Backoff, failures: number, unit: number): number {
  return failures === 0 ? 0 : pauseMs(backoff, failures - 1, unit);
}

/** Ends early, without an error, when the signal is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}

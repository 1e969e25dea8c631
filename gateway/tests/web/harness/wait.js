// Waits for conditions instead of fixed times.

/** Long enough for a loaded machine, and shorter than the timeout of the test runner. */
export const TIMEOUT_MS = 30_000;

/** The interval between two polls of a condition. */
const POLL_MS = 20;

/** Polls `probe` until it returns a truthy value, and returns that value. `what` describes the
 * condition for the error. */
export async function until(what, probe, timeoutMs = TIMEOUT_MS) {
  const deadline = Date.now() + timeoutMs;
  let lastError;
  while (Date.now() < deadline) {
    try {
      const value = await probe();
      if (value) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error(`timed out after ${timeoutMs} ms: ${what}`, { cause: lastError });
}

/** Returns the value of a promise, or fails after a timeout with an error that describes it. */
export async function within(what, promise, timeoutMs = TIMEOUT_MS) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`timed out after ${timeoutMs} ms: ${what}`)),
      timeoutMs,
    );
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

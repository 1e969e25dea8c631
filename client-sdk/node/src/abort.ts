/** Abort signals with one listener each, whatever number of calls waits for them. */

const callbacks = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `callback` once when the signal is aborted, at once if it is already; returns a function that cancels
 * this. Node.js warns about a leak when a signal has many listeners, and calls that share a signal are no leak,
 * so all callbacks of a signal share one listener.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) return () => {};
  if (signal.aborted) {
    callback();
    return () => {};
  }
  const waiting = callbacks.get(signal) ?? listen(signal);
  // A function of its own, because two calls may pass the same callback.
  const entry = () => callback();
  waiting.add(entry);
  return () => {
    waiting.delete(entry);
    if (waiting.size === 0) stopListening.get(signal)?.();
  };
}

const stopListening = new WeakMap<AbortSignal, () => void>();

function listen(signal: AbortSignal): Set<() => void> {
  const waiting = new Set<() => void>();
  const stop = () => {
    callbacks.delete(signal);
    stopListening.delete(signal);
    signal.removeEventListener("abort", aborted);
  };
  const aborted = () => {
    stop();
    for (const callback of [...waiting]) callback();
  };
  callbacks.set(signal, waiting);
  stopListening.set(signal, stop);
  signal.addEventListener("abort", aborted);
  return waiting;
}

/** A controller that is aborted with the signal, too. Call `release` when it is no longer needed. */
export function linkedController(signal: AbortSignal | undefined): { controller: AbortController; release(): void } {
  const controller = new AbortController();
  const release = onAbort(signal, () => controller.abort(signal?.reason));
  return { controller, release };
}

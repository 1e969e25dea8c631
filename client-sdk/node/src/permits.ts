/** Limits how many requests wait for a server at the same time. */
import type { Interceptor } from "@connectrpc/connect";
import { onAbort } from "./abort.js";

/**
 * Requests of one client that the server has not answered yet. Servers close a connection (GOAWAY with
 * too_many_data_frames) that has more than about 128 unread small frames, which protects them from floods; a
 * request has one or two. More calls wait here, in order.
 */
const MAX_UNANSWERED = 64;

/** A counting semaphore, first come, first served. */
export class Permits {
  readonly #waiting = new Set<() => void>();

  constructor(private available: number) {}

  /** Resolves with whether a permit was taken: not when the signal is aborted first. */
  acquire(signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted) return Promise.resolve(false);
    if (this.available > 0) {
      this.available -= 1;
      return Promise.resolve(true);
    }
    return new Promise((resolve) => {
      const granted = () => {
        cancel();
        resolve(true);
      };
      const cancel = onAbort(signal, () => {
        this.#waiting.delete(granted);
        resolve(false);
      });
      this.#waiting.add(granted);
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.available += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

/** Holds a permit from the start of a call until its response (of a stream: its response headers). */
export function limitInterceptor(permits = new Permits(MAX_UNANSWERED)): Interceptor {
  return (next) => async (request) => {
    if (!(await permits.acquire(request.signal))) throw request.signal.reason;
    try {
      return await next(request);
    } finally {
      permits.release();
    }
  };
}

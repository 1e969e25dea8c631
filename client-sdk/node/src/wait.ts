/** Waits for the result of a job. */
import { Code } from "@connectrpc/connect";
import { linkedController } from "./abort.js";
import type { CallOptions } from "./caller.js";
import { ApiError, CallTimeoutError, InvalidArgumentError } from "./errors.js";
import { isTerminal } from "./job.js";
import { type Job, JobView } from "./proto.js";
import type { WatchEvent, WatchOptions } from "./watch.js";

export interface WaitOptions {
  /** Ends the wait, not the job. */
  readonly signal?: AbortSignal;
  /** The limit of the wait, 0..2^31-1. Default: none. */
  readonly timeoutMs?: number;
}

/** The calls of `Client` that a wait makes. */
interface WaitCalls {
  watch(options: WatchOptions): AsyncIterable<WatchEvent>;
  get(id: string, options: CallOptions): Promise<Job>;
}

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** `id` is canonical, because it is compared with the ids of events. */
export async function waitForResult(client: WaitCalls, id: string, options: WaitOptions): Promise<Job> {
  const { timeoutMs, signal } = options;
  if (timeoutMs !== undefined && !(timeoutMs >= 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw new InvalidArgumentError(`invalid timeoutMs: ${String(timeoutMs)} ms; allowed are 0..${MAX_TIMEOUT_MS}`);
  }
  const { controller, release } = linkedController(signal);
  let isTimeout = false;
  const onTimeout = () => {
    isTimeout = true;
    controller.abort();
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs);
  try {
    const finished = await watchUntilTerminal(client, id, controller.signal);
    if (finished !== undefined) return finished;
    signal?.throwIfAborted();
    if (isTimeout) throw new CallTimeoutError(`job ${id} is not terminal after ${timeoutMs} ms`);
    // The job finished while the watch was reconnecting, so that no event showed it.
    return await client.get(id, signal === undefined ? {} : { signal });
  } finally {
    clearTimeout(timer);
    release();
  }
}

async function watchUntilTerminal(client: WaitCalls, id: string, signal: AbortSignal): Promise<Job | undefined> {
  for await (const event of client.watch({ jobs: [id], view: JobView.FULL, signal })) {
    if (event.case === "snapshot" && event.value.unknownIds.includes(id)) {
      throw new ApiError(`job ${id} does not exist`, Code.NotFound, "JOB_NOT_FOUND", {}, [], undefined);
    }
    const jobs = event.case === "snapshot" ? event.value.jobs : event.case === "change" ? [event.value.job] : [];
    const finished = jobs.find((job) => job?.id === id && isTerminal(job.state));
    if (finished !== undefined) return finished;
  }
  return undefined;
}

/** Typed jobs: a definition connects a kind with the types of its payload and result. */

import type { CallOptions } from "./caller.js";
import { SentinelError } from "./errors.js";
import { resultJson } from "./job.js";
import type { NewJob } from "./new-job.js";
import { type Job, JobState, type ReadOutputResponse } from "./proto.js";
import type { CancelResult } from "./results.js";
import type { WaitOptions } from "./wait.js";
import type { WatchOptions, WatchStream } from "./watch.js";

/** The options that all jobs of a kind have. */
export type JobDefaults = Omit<NewJob, "kind" | "payload">;

/** A kind of job with payloads of type `P` and results of type `R`. Neither is checked at run time. */
export interface JobDefinition<P, R = unknown> {
  readonly kind: string;
  readonly defaults: JobDefaults;
  /** Only for types; never set. */
  readonly types?: (payload: P) => R;
}

/** Defines a kind of job: `const resize = defineJob<{ image: string }, number>("image.resize", { priority: 5 })`. */
export function defineJob<P, R = unknown>(kind: string, defaults: JobDefaults = {}): JobDefinition<P, R> {
  return { kind, defaults };
}

/** The job did not succeed. */
export class JobUnsuccessfulError extends SentinelError {
  override name = "JobUnsuccessfulError";

  constructor(
    /** The job: `state` is FAILED, CANCELLED or EXPIRED; `error` is that of the last failed attempt. */
    readonly job: Job,
  ) {
    const reason = job.state === JobState.FAILED ? `: ${job.error?.message ?? ""}` : "";
    super(`job ${job.id} is ${JobState[job.state] ?? job.state}${reason}`);
  }
}

/** The calls of `Client` that a handle makes. */
interface JobCalls {
  waitForResult(id: string, options: WaitOptions): Promise<Job>;
  readOutput(
    request: { id: string; follow: boolean },
    options: { readonly signal?: AbortSignal },
  ): AsyncIterable<ReadOutputResponse>;
  watch(options: WatchOptions): WatchStream;
  get(id: string, options: CallOptions): Promise<Job>;
  cancel(id: string, options: CallOptions & { readonly reason?: string }): Promise<CancelResult>;
  retry(id: string, options: CallOptions): Promise<Job>;
}

/** A handle of one job. */
export class JobHandle<R = unknown> {
  readonly #client: JobCalls;

  /** @internal */
  constructor(
    client: JobCalls,
    /** The UUID of the job. */
    readonly id: string,
    /** Whether the job existed before this enqueue: it holds the unique key, or the idempotency key was used. */
    readonly deduplicated: boolean,
  ) {
    this.#client = client;
  }

  /**
   * Waits until the job is terminal and returns its result, parsed as JSON; a handler without a result gives `null`.
   *
   * @throws JobUnsuccessfulError when the job failed, was cancelled or expired.
   * @throws CallTimeoutError when the job is not terminal after `timeoutMs`.
   * @throws SyntaxError when the result is not JSON. Read it with `get` and `resultText`.
   */
  async result(options: WaitOptions = {}): Promise<R> {
    const job = await this.#client.waitForResult(this.id, options);
    if (job.state !== JobState.SUCCEEDED) throw new JobUnsuccessfulError(job);
    return resultJson<R>(job);
  }

  /** Reads the output of the newest attempt, while it is written, in chunks of at most 64 KiB. */
  async *output(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const { data } of this.#client.readOutput({ id: this.id, follow: true }, options)) yield data;
  }

  /** Watches the job: a snapshot, then every change, until the job is terminal. */
  watch(options: { readonly signal?: AbortSignal } = {}): WatchStream {
    return this.#client.watch({ jobs: [this.id], ...options });
  }

  /** Gets the job with payload and result. */
  get(options: CallOptions = {}): Promise<Job> {
    return this.#client.get(this.id, options);
  }

  /** As `Client.cancel`. */
  cancel(options: CallOptions & { readonly reason?: string } = {}): Promise<CancelResult> {
    return this.#client.cancel(this.id, options);
  }

  /** As `Client.retry`. */
  retry(options: CallOptions = {}): Promise<Job> {
    return this.#client.retry(this.id, options);
  }
}

/** The client of JobService. This module decides which calls are retried. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, createClient, type Client as RpcClient, type CallOptions as RpcOptions } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { sleep } from "./backoff.js";
import { credentialInterceptors, MAX_MESSAGE_BYTES, parseEndpoints, type TlsConfig } from "./endpoint.js";
import { ApiError, ProtocolError } from "./errors.js";
import { type Job, JobView, type LogLine } from "./gen/sentinel/jobs/v1/job_pb.js";
import {
  type Attempt,
  type BulkRequestSchema,
  type BulkResponse,
  type CancelOutcome,
  type CountsResponse,
  type EnqueuedJob,
  type ItemError,
  JobService,
  type ListRequestSchema,
  type ListResponse,
  type ReadOutputRequestSchema,
  type ReadOutputResponse,
  type UpdateRequestSchema,
} from "./gen/sentinel/jobs/v1/job_service_pb.js";
import { fromGrpcError } from "./grpc-error.js";
import { isTerminal } from "./job.js";
import { type NewJob, toJobSpec } from "./new-job.js";
import { CallRetry, RetryThrottle } from "./retry.js";
import { type WatchOptions, WatchStream } from "./watch.js";

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_DEADLINE_MS = 60_000;
/** The limit of ids per BatchGet. */
const MAX_IDS = 1_000;
/** With these values a half-open connection is detected within 8 s. */
const KEEPALIVE_INTERVAL_MS = 5_000;
const KEEPALIVE_TIMEOUT_MS = 3_000;
const WINDOW_BYTES = 4 * 1024 * 1024;

export interface ClientOptions {
  /** The API key, sent as `authorization: Bearer <credential>`. */
  readonly credential?: string;
  /** The certificates of `https://` connections. */
  readonly tls?: TlsConfig;
  /** The actor that the audit log shows for calls that name none. At most 256 bytes. */
  readonly actor?: string;
  /** The limit of one RPC attempt of a call. Default 30,000. */
  readonly timeoutMs?: number;
  /** The limit of a call including its retries. Default 60,000. */
  readonly deadlineMs?: number;
}

export interface CallOptions {
  /** Aborts the call. It may have been executed. */
  readonly signal?: AbortSignal;
  /**
   * The idempotency key, which makes it safe to repeat this call from another process. By default the
   * client generates one, which covers only its own retries. 1..256 bytes.
   */
  readonly requestId?: string;
  /** The actor for the audit log. Default: that of the client. */
  readonly actor?: string;
}

/** The result of an enqueue. */
export interface EnqueueResult {
  /** The new job, or the job that holds the unique key. Without payload. */
  readonly job: Job;
  /** Whether the job existed before. */
  readonly deduplicated: boolean;
}

/** The result of one job of a batch: the enqueued job or an error. */
export type BatchItemResult =
  | { readonly job: EnqueuedJob; readonly error?: undefined }
  | { readonly job?: undefined; readonly error: ItemError };

/** The result of a cancel. */
export interface CancelResult {
  /** Whether the job was cancelled, is being cancelled or was already terminal. */
  readonly outcome: CancelOutcome;
  /** The job after the cancel, without payload. */
  readonly job: Job;
}

/**
 * A client of one server or load balancer. It connects on its first call and reconnects automatically.
 *
 * Calls without a response, or with UNAVAILABLE, are retried with exponential backoff and jitter, at
 * most 3 times. This is safe: reads and cancels are idempotent, enqueue and retry send an idempotency
 * key. While many calls fail, the client stops retrying until enough of them get a response again.
 */
export class Client {
  /** The generated client. It does not retry. */
  readonly raw: RpcClient<typeof JobService>;
  readonly #options: ClientOptions;
  readonly #connection: Http2SessionManager;
  readonly #throttle = new RetryThrottle();

  /** `endpoint` is `https://host:port`, `http://host:port` or `host:port`. */
  constructor(endpoint: string, options: ClientOptions = {}) {
    const [baseUrl = ""] = parseEndpoints([endpoint], options.tls);
    this.#options = options;
    const keepalive = {
      pingIntervalMs: KEEPALIVE_INTERVAL_MS,
      pingTimeoutMs: KEEPALIVE_TIMEOUT_MS,
      pingIdleConnection: true,
    };
    const settings = { initialWindowSize: WINDOW_BYTES };
    this.#connection = new Http2SessionManager(baseUrl, keepalive, { settings, ...options.tls });
    const transport = createGrpcTransport({
      baseUrl,
      sessionManager: this.#connection,
      readMaxBytes: MAX_MESSAGE_BYTES,
      writeMaxBytes: MAX_MESSAGE_BYTES,
      interceptors: credentialInterceptors(options.credential),
    });
    this.raw = createClient(JobService, transport);
  }

  /** Closes the connection and fails pending calls, so that the process can exit. */
  close(): void {
    this.#connection.abort();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Enqueues one job, which is durable when this resolves. */
  async enqueue(job: NewJob, options: CallOptions = {}): Promise<EnqueueResult> {
    const request = { spec: toJobSpec(job), requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    const headers = job.traceparent === undefined ? {} : { headers: { traceparent: job.traceparent } };
    const response = await this.#callWithRetry(options, (rpcOptions) =>
      this.raw.enqueue(request, { ...rpcOptions, ...headers }),
    );
    return { job: required(response.job, "EnqueueResponse.job"), deduplicated: response.deduplicated };
  }

  /**
   * Enqueues 1..1000 jobs of at most 4 MiB in total in one transaction. Returns one result per job, in
   * order. With `atomic`, one invalid job rejects the whole batch.
   */
  async enqueueBatch(
    jobs: readonly NewJob[],
    options: CallOptions & { readonly atomic?: boolean } = {},
  ): Promise<BatchItemResult[]> {
    const request = {
      specs: jobs.map(toJobSpec),
      atomic: options.atomic ?? false,
      requestId: options.requestId ?? randomUUID(),
      actor: this.#actor(options),
    };
    const { results } = await this.#callWithRetry(options, (rpcOptions) => this.raw.enqueueBatch(request, rpcOptions));
    if (results.length !== jobs.length) throw new ProtocolError("EnqueueBatchResponse.results has the wrong length");
    return results.map(({ outcome }): BatchItemResult => {
      if (outcome.case === "job") return { job: outcome.value };
      if (outcome.case === "error") return { error: outcome.value };
      throw new ProtocolError("EnqueueBatchResult without outcome");
    });
  }

  /** Gets one job with payload and result. */
  async get(id: string, options: CallOptions & { readonly view?: JobView } = {}): Promise<Job> {
    const request = { id, view: options.view ?? JobView.FULL };
    return required(
      (await this.#callWithRetry(options, (rpcOptions) => this.raw.get(request, rpcOptions))).job,
      "GetResponse.job",
    );
  }

  /** Gets many jobs in the order of the ids, `undefined` for an unknown id. Makes a call per 1000 ids. */
  async batchGet(
    ids: readonly string[],
    options: CallOptions & { readonly view?: JobView } = {},
  ): Promise<(Job | undefined)[]> {
    const found: (Job | undefined)[] = [];
    while (found.length < ids.length) {
      const chunk = ids.slice(found.length, found.length + MAX_IDS);
      const request = { ids: chunk, view: options.view ?? JobView.FULL };
      const { results } = await this.#callWithRetry(options, (rpcOptions) => this.raw.batchGet(request, rpcOptions));
      const isValid = results.length > 0 && results.length <= chunk.length;
      if (!isValid) throw new ProtocolError("BatchGetResponse.results has the wrong length");
      for (const { outcome } of results) {
        if (outcome.case === undefined) throw new ProtocolError("BatchGetResult without outcome");
        found.push(outcome.case === "job" ? outcome.value : undefined);
      }
    }
    return found;
  }

  /** Counts jobs by state, per queue. At most 100 queues; an empty list counts all queues. */
  counts(queues: readonly string[] = [], options: CallOptions = {}): Promise<CountsResponse> {
    return this.#callWithRetry(options, (rpcOptions) => this.raw.counts({ queues: [...queues] }, rpcOptions));
  }

  /** Lists the attempts of a job, newest first. Pages are fetched as the iterator is read. */
  async *listAttempts(
    id: string,
    options: CallOptions & { readonly pageSize?: number } = {},
  ): AsyncGenerator<Attempt, void, undefined> {
    let pageToken = "";
    do {
      const request = { id, pageSize: options.pageSize ?? 0, pageToken };
      const page = await this.#callWithRetry(options, (rpcOptions) => this.raw.listAttempts(request, rpcOptions));
      yield* page.attempts;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Gets one page of jobs, newest first. */
  listPage(request: MessageInitShape<typeof ListRequestSchema>, options: CallOptions = {}): Promise<ListResponse> {
    return this.#callWithRetry(options, (rpcOptions) => this.raw.list(request, rpcOptions));
  }

  /** Lists all jobs that match `filter`, newest first. Pages are fetched as the iterator is read. */
  async *listAll(
    filter: NonNullable<MessageInitShape<typeof ListRequestSchema>["filter"]> = {},
    options: CallOptions & { readonly pageSize?: number; readonly view?: JobView } = {},
  ): AsyncGenerator<Job, void, undefined> {
    let pageToken = "";
    do {
      const request = { filter, pageSize: options.pageSize ?? 0, view: options.view ?? JobView.BASIC, pageToken };
      const page = await this.listPage(request, options);
      yield* page.jobs;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Cancels a job: a job that does not run is cancelled at once, the handler of a running one is asked to stop. */
  async cancel(id: string, options: CallOptions & { readonly reason?: string } = {}): Promise<CancelResult> {
    const request = {
      id,
      reason: options.reason ?? "",
      requestId: options.requestId ?? "",
      actor: this.#actor(options),
    };
    const { outcome, job } = await this.#callWithRetry(options, (rpcOptions) => this.raw.cancel(request, rpcOptions));
    return { outcome, job: required(job, "CancelResponse.job") };
  }

  /** Starts a new run of a terminal job: same id, run + 1, all attempts available again. */
  async retry(id: string, options: CallOptions = {}): Promise<Job> {
    const request = { id, requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    return required(
      (await this.#callWithRetry(options, (rpcOptions) => this.raw.retry(request, rpcOptions))).job,
      "RetryResponse.job",
    );
  }

  /** Makes a SCHEDULED job READY now. */
  async runNow(id: string, options: CallOptions = {}): Promise<Job> {
    const request = { id, requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    return required(
      (await this.#callWithRetry(options, (rpcOptions) => this.raw.runNow(request, rpcOptions))).job,
      "RunNowResponse.job",
    );
  }

  /** Changes a job before its first start: the fields of `spec` named in `updateMask`. */
  async update(request: MessageInitShape<typeof UpdateRequestSchema>, options: CallOptions = {}): Promise<Job> {
    const requestId = request.requestId || (options.requestId ?? randomUUID());
    const complete = { ...request, requestId, actor: request.actor || this.#actor(options) };
    return required(
      (await this.#callWithRetry(options, (rpcOptions) => this.raw.update(complete, rpcOptions))).job,
      "UpdateResponse.job",
    );
  }

  /** Deletes a job that does not run, with its attempts, logs and output. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    const request = { id, requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    await this.#callWithRetry(options, (rpcOptions) => this.raw.delete(request, rpcOptions));
  }

  /**
   * Applies an action to one page of the jobs that match a filter. Repeat with the `nextPageToken` of
   * the response until it is empty. Idempotent.
   */
  bulk(request: MessageInitShape<typeof BulkRequestSchema>, options: CallOptions = {}): Promise<BulkResponse> {
    const complete = { ...request, actor: request.actor || this.#actor(options) };
    return this.#callWithRetry(options, (rpcOptions) => this.raw.bulk(complete, rpcOptions));
  }

  /**
   * Reads the output of an attempt in chunks of at most 64 KiB. `run` and `attempt` 0 select the newest.
   * The iterator fails when the connection is lost; continue with `offset`.
   */
  async *readOutput(
    request: MessageInitShape<typeof ReadOutputRequestSchema>,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<ReadOutputResponse, void, undefined> {
    try {
      yield* this.raw.readOutput(request, signalOf(options));
    } catch (error) {
      options.signal?.throwIfAborted();
      throw fromGrpcError(error);
    }
  }

  /** Reads the log lines of a job's handlers, oldest first. `attempt` 0 selects all attempts. */
  async *readLogs(
    id: string,
    options: CallOptions & { readonly attempt?: number; readonly follow?: boolean } = {},
  ): AsyncGenerator<LogLine, void, undefined> {
    const request = { id, attempt: options.attempt ?? 0, follow: options.follow ?? false };
    try {
      for await (const { lines } of this.raw.readLogs(request, signalOf(options))) yield* lines;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw fromGrpcError(error);
    }
  }

  /**
   * Watches jobs: a snapshot first, then every state change. The stream reconnects automatically and
   * resumes after the last event. When it cannot resume, it returns a `gap` followed by a new snapshot.
   */
  watch(options: WatchOptions): WatchStream {
    return new WatchStream(this.raw, options);
  }

  /**
   * Waits until a job is terminal and returns it with its result.
   *
   * @throws ApiError with reason JOB_NOT_FOUND when no job has this id.
   */
  async waitForResult(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<Job> {
    const watch = this.watch({ jobs: [id], view: JobView.FULL, ...options });
    for await (const event of watch) {
      if (event.case === "snapshot" && event.value.unknownIds.includes(id)) {
        throw new ApiError(`job ${id} does not exist`, Code.NotFound, "JOB_NOT_FOUND", {}, [], undefined);
      }
      const jobs = event.case === "snapshot" ? event.value.jobs : event.case === "change" ? [event.value.job] : [];
      const finished = jobs.find((job) => job?.id === id && isTerminal(job.state));
      if (finished !== undefined) return finished;
    }
    options.signal?.throwIfAborted();
    // The job finished while the watch was reconnecting, so that no event showed it.
    return this.get(id);
  }

  #actor(options: CallOptions): string {
    return options.actor ?? this.#options.actor ?? "";
  }

  /** Makes a call and retries it as `CallRetry` allows. Only for idempotent calls. */
  async #callWithRetry<T>(options: CallOptions, call: (rpcOptions: RpcOptions) => Promise<T>): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, deadlineMs = DEFAULT_DEADLINE_MS } = this.#options;
    const retry = new CallRetry(this.#throttle, performance.now() + deadlineMs);
    for (;;) {
      try {
        const remainingMs = Math.ceil(retry.remainingMs(performance.now()));
        const response = await call({ timeoutMs: Math.min(timeoutMs, remainingMs), ...signalOf(options) });
        retry.succeeded();
        return response;
      } catch (cause) {
        options.signal?.throwIfAborted();
        const error = fromGrpcError(cause);
        const delayMs = retry.nextDelayMs(error, performance.now(), Math.random());
        if (delayMs === undefined) throw error;
        await sleep(delayMs, options.signal);
      }
    }
  }
}

function signalOf(options: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}

function required<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new ProtocolError(`the server sent no ${field}`);
  return value;
}

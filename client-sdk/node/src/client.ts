/** The client of JobService. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client as RpcClient } from "@connectrpc/connect";
import { Caller, type CallOptions, type ClientOptions } from "./caller.js";
import { ProtocolError } from "./errors.js";
import { type JobFilter, type WithFilter, withFilter } from "./filter.js";
import { type Job, JobView, type LogLine } from "./gen/sentinel/jobs/v1/job_pb.js";
import {
  type Attempt,
  type BulkRequestSchema,
  type BulkResponse,
  type CountsResponse,
  JobService,
  type ListRequestSchema,
  type ListResponse,
  type ReadOutputRequestSchema,
  type ReadOutputResponse,
  type UpdateRequestSchema,
} from "./gen/sentinel/jobs/v1/job_service_pb.js";
import { canonicalId } from "./ids.js";
import { type JobChanges, toUpdateRequest } from "./job-changes.js";
import { type JobDefaults, type JobDefinition, JobHandle } from "./job-handle.js";
import { type NewJob, toJobSpec } from "./new-job.js";
import { Queues } from "./queues.js";
import type { BatchItemResult, CancelResult, EnqueueResult } from "./results.js";
import { type WaitOptions, waitForResult } from "./wait.js";
import { type WatchOptions, WatchStream } from "./watch.js";

export type { BatchItemResult, CallOptions, CancelResult, ClientOptions, EnqueueResult };

/** The limit of ids per BatchGet. */
const MAX_IDS = 1_000;
/**
 * A client of a server, a load balancer or several servers of one cluster. It connects on its first call,
 * reconnects automatically, and uses the next server when one is not available.
 *
 * Calls without a response, with UNAVAILABLE, or with RESOURCE_EXHAUSTED and a delay, are repeated with exponential
 * backoff and jitter until `deadlineMs`. This is safe: reads and cancels are idempotent, the others send an
 * idempotency key. While many calls fail, the retries of all calls share a budget of 20 per second plus one per
 * response, and wait for it. At most 64 calls wait for a response at once; more calls wait in this process.
 */
export class Client {
  /** The generated client. It does not retry. */
  readonly raw: RpcClient<typeof JobService>;
  /** Creates, changes, pauses and lists queues. */
  readonly queues: Queues;
  readonly #caller: Caller;

  /**
   * `endpoint` is `https://host:port`, `http://host:port` or `host:port`, or a list of servers of one cluster.
   *
   * @throws InvalidArgumentError when an endpoint or an option is not valid.
   */
  constructor(endpoint: string | readonly string[], options: ClientOptions = {}) {
    this.#caller = new Caller(endpoint, options);
    this.raw = this.#caller.service(JobService);
    this.queues = new Queues(this.#caller);
  }

  /** Closes the connections and fails pending calls, so that the process can exit. */
  close(): void {
    this.#caller.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Enqueues one job, which is durable when this resolves. */
  async enqueue(job: NewJob, options: CallOptions = {}): Promise<EnqueueResult> {
    const request = {
      spec: toJobSpec(job),
      requestId: options.requestId ?? randomUUID(),
      actor: this.#caller.actor(options),
    };
    const headers = job.traceparent === undefined ? {} : { headers: { traceparent: job.traceparent } };
    const response = await this.#caller.call(options, (rpcOptions) =>
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
      actor: this.#caller.actor(options),
    };
    const { results } = await this.#caller.call(options, (rpcOptions) => this.raw.enqueueBatch(request, rpcOptions));
    if (results.length !== jobs.length) throw new ProtocolError("EnqueueBatchResponse.results has the wrong length");
    return results.map(({ outcome }): BatchItemResult => {
      if (outcome.case === "job") return { job: outcome.value };
      if (outcome.case === "error") return { error: outcome.value };
      throw new ProtocolError("EnqueueBatchResult without outcome");
    });
  }

  /** Gets one job with payload and result. */
  async get(id: string, options: CallOptions & { readonly view?: JobView } = {}): Promise<Job> {
    const request = { id: canonicalId(id), view: options.view ?? JobView.FULL };
    return required(
      (await this.#caller.call(options, (rpcOptions) => this.raw.get(request, rpcOptions))).job,
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
      const request = { ids: chunk.map(canonicalId), view: options.view ?? JobView.FULL };
      const { results } = await this.#caller.call(options, (rpcOptions) => this.raw.batchGet(request, rpcOptions));
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
    return this.#caller.call(options, (rpcOptions) => this.raw.counts({ queues: [...queues] }, rpcOptions));
  }

  /** Lists the attempts of a job, newest first. Pages are fetched as the iterator is read. */
  async *listAttempts(
    id: string,
    options: CallOptions & { readonly pageSize?: number } = {},
  ): AsyncGenerator<Attempt, void, undefined> {
    let pageToken = "";
    do {
      const request = { id: canonicalId(id), pageSize: options.pageSize ?? 0, pageToken };
      const page = await this.#caller.call(options, (rpcOptions) => this.raw.listAttempts(request, rpcOptions));
      yield* page.attempts;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** Gets one page of jobs, newest first. */
  async listPage(request: WithFilter<typeof ListRequestSchema>, options: CallOptions = {}): Promise<ListResponse> {
    const complete = withFilter<typeof ListRequestSchema>(request);
    return this.#caller.call(options, (rpcOptions) => this.raw.list(complete, rpcOptions));
  }

  /**
   * Lists the jobs that match `filter`, newest first: `client.list({ states: ["failed"] })`. Pages are fetched as
   * the iterator is read.
   */
  list(
    filter: JobFilter = {},
    options: CallOptions & { readonly pageSize?: number; readonly view?: JobView } = {},
  ): AsyncGenerator<Job, void, undefined> {
    return this.listAll(filter, options);
  }

  /** As `list`. */
  async *listAll(
    filter: JobFilter = {},
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
      id: canonicalId(id),
      reason: options.reason ?? "",
      requestId: options.requestId ?? "",
      actor: this.#caller.actor(options),
    };
    const { outcome, job } = await this.#caller.call(options, (rpcOptions) => this.raw.cancel(request, rpcOptions));
    return { outcome, job: required(job, "CancelResponse.job") };
  }

  /** Starts a new run of a terminal job: same id, run + 1, all attempts available again. */
  async retry(id: string, options: CallOptions = {}): Promise<Job> {
    const request = {
      id: canonicalId(id),
      requestId: options.requestId ?? randomUUID(),
      actor: this.#caller.actor(options),
    };
    return required(
      (await this.#caller.call(options, (rpcOptions) => this.raw.retry(request, rpcOptions))).job,
      "RetryResponse.job",
    );
  }

  /** Makes a SCHEDULED job READY now. */
  async runNow(id: string, options: CallOptions = {}): Promise<Job> {
    const request = {
      id: canonicalId(id),
      requestId: options.requestId ?? randomUUID(),
      actor: this.#caller.actor(options),
    };
    return required(
      (await this.#caller.call(options, (rpcOptions) => this.raw.runNow(request, rpcOptions))).job,
      "RunNowResponse.job",
    );
  }

  /**
   * Changes a job before its first start: the given fields of `changes`, `null` sets a default. The form with one
   * request changes the fields of `spec` that `updateMask` names.
   */
  async update(id: string, changes: JobChanges, options?: CallOptions & { readonly version?: bigint }): Promise<Job>;
  async update(request: MessageInitShape<typeof UpdateRequestSchema>, options?: CallOptions): Promise<Job>;
  async update(
    target: string | MessageInitShape<typeof UpdateRequestSchema>,
    second: JobChanges | CallOptions = {},
    third: CallOptions & { readonly version?: bigint } = {},
  ): Promise<Job> {
    const isShort = typeof target === "string";
    const options = isShort ? third : (second as CallOptions);
    const request = isShort ? toUpdateRequest(target, second as JobChanges, third.version) : target;
    const requestId = request.requestId || (options.requestId ?? randomUUID());
    const actor = request.actor || this.#caller.actor(options);
    const complete = { ...request, id: canonicalId(request.id ?? ""), requestId, actor };
    return required(
      (await this.#caller.call(options, (rpcOptions) => this.raw.update(complete, rpcOptions))).job,
      "UpdateResponse.job",
    );
  }

  /** Deletes a job that does not run, with its attempts, logs and output. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    const request = {
      id: canonicalId(id),
      requestId: options.requestId ?? randomUUID(),
      actor: this.#caller.actor(options),
    };
    await this.#caller.call(options, (rpcOptions) => this.raw.delete(request, rpcOptions));
  }

  /**
   * Applies an action to one page of the jobs that match a filter. Repeat with the `nextPageToken` of
   * the response until it is empty. Idempotent.
   */
  async bulk(request: WithFilter<typeof BulkRequestSchema>, options: CallOptions = {}): Promise<BulkResponse> {
    const complete = {
      ...withFilter<typeof BulkRequestSchema>(request),
      actor: request.actor || this.#caller.actor(options),
    };
    return this.#caller.call(options, (rpcOptions) => this.raw.bulk(complete, rpcOptions));
  }

  /**
   * Reads the output of an attempt in chunks of at most 64 KiB. `run` and `attempt` 0 select the newest.
   * The iterator fails when the connection is lost; continue with `offset`.
   */
  async *readOutput(
    request: MessageInitShape<typeof ReadOutputRequestSchema>,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<ReadOutputResponse, void, undefined> {
    const complete = { ...request, id: canonicalId(request.id ?? "") };
    yield* this.#caller.stream(options.signal, (rpcOptions) => this.raw.readOutput(complete, rpcOptions));
  }

  /** Reads the log lines of a job's handlers, oldest first. `attempt` 0 selects all attempts. */
  async *readLogs(
    id: string,
    options: CallOptions & { readonly attempt?: number; readonly follow?: boolean } = {},
  ): AsyncGenerator<LogLine, void, undefined> {
    const request = { id: canonicalId(id), attempt: options.attempt ?? 0, follow: options.follow ?? false };
    const responses = this.#caller.stream(options.signal, (rpcOptions) => this.raw.readLogs(request, rpcOptions));
    for await (const { lines } of responses) yield* lines;
  }

  /**
   * Watches jobs: a snapshot first, then every state change. The stream reconnects automatically and
   * resumes after the last event. When it cannot resume, it returns a `gap` followed by a new snapshot.
   */
  watch(options: WatchOptions): WatchStream {
    return new WatchStream(this.raw, options);
  }

  /**
   * Waits until a job is terminal and returns it with its result. Reconnects automatically; without `timeoutMs` it
   * waits without a limit.
   *
   * @throws ApiError with reason JOB_NOT_FOUND when no job has this id.
   * @throws CallTimeoutError when the job is not terminal after `timeoutMs`.
   */
  async waitForResult(id: string, options: WaitOptions = {}): Promise<Job> {
    return waitForResult(this, canonicalId(id), options);
  }

  /**
   * Enqueues a job of a kind that `defineJob` describes. It is durable when this resolves. `job` sets options of
   * this job, over the defaults of the kind.
   */
  async submit<P, R>(
    definition: JobDefinition<P, R>,
    payload: P,
    options: CallOptions & { readonly job?: JobDefaults } = {},
  ): Promise<JobHandle<R>> {
    const job = { ...definition.defaults, ...options.job, kind: definition.kind, payload };
    const { job: enqueued, deduplicated } = await this.enqueue(job, options);
    return new JobHandle<R>(this, enqueued.id, deduplicated);
  }

  /** A handle of an existing job. Makes no call and does not check the kind of the job. */
  job<R = unknown>(id: string): JobHandle<R> {
    return new JobHandle<R>(this, canonicalId(id), false);
  }
}

function required<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new ProtocolError(`the server sent no ${field}`);
  return value;
}

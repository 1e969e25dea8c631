/** The verbs of JobService, and the one place that decides which calls may be repeated. */
import { randomUUID } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CallOptions as WireOptions, createClient, type Client as WireClient, Code } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { sleep } from "./backoff.js";
import { MAX_MESSAGE_BYTES, parseEndpoints, type Tls, withCredential } from "./endpoint.js";
import { ApiError, fromWire, ProtocolError } from "./errors.js";
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
import { isFinal } from "./job.js";
import { type NewJob, specOf } from "./new-job.js";
import { Budget, Tries } from "./tries.js";
import { Watch, type WatchOptions } from "./watch.js";

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_DEADLINE_MS = 60_000;
/** Of one BatchGet. */
const MAX_IDS = 1_000;
/** A half-open connection is found out in 8 s. */
const KEEPALIVE_INTERVAL_MS = 5_000;
const KEEPALIVE_TIMEOUT_MS = 3_000;
const WINDOW_BYTES = 4 * 1024 * 1024;

export interface ClientOptions {
  /** Sent as `authorization: Bearer <credential>`. */
  readonly credential?: string;
  /** For `https://`. */
  readonly tls?: Tls;
  /** Who asks, for the audit trail, where a call says nothing else. At most 256 bytes. */
  readonly actor?: string;
  /** The longest that one try of a call may take. Default 30,000. */
  readonly timeoutMs?: number;
  /** The longest that a call may take with all its tries. Default 60,000. */
  readonly deadlineMs?: number;
}

export interface CallOptions {
  /** Gives up. The call may have had its effect. */
  readonly signal?: AbortSignal;
  /**
   * Makes repeats of this call safe across processes. Without one the client makes its own, which
   * covers only its own tries. 1..256 bytes.
   */
  readonly requestId?: string;
  readonly actor?: string;
}

/** What an enqueue answered. */
export interface Enqueued {
  /** The new job, or the holder of its unique key. Without payload. */
  readonly job: Job;
  /** The job existed before. */
  readonly deduplicated: boolean;
}

/** What became of one item of a batch: a job, or why there is none. */
export type BatchItem =
  | { readonly job: EnqueuedJob; readonly error?: undefined }
  | { readonly job?: undefined; readonly error: ItemError };

/** What a cancel did. */
export interface CancelReply {
  readonly outcome: CancelOutcome;
  /** After the cancel, without payload. */
  readonly job: Job;
}

/**
 * A client of one server or balancer. The connection is opened by the first call and again when it
 * breaks.
 *
 * Calls that got no answer are repeated, at most 4 tries in all, where the server said UNAVAILABLE
 * or could not be reached: reads always; enqueue and retry under a request id, so that a repeat
 * changes nothing twice; cancel, because it is idempotent. When many tries fail, calls get one try
 * until enough of them are answered again.
 */
export class Client {
  /** The generated client, without retries. */
  readonly raw: WireClient<typeof JobService>;
  readonly #options: ClientOptions;
  readonly #connection: Http2SessionManager;
  readonly #budget = new Budget();

  /** `endpoint` is `https://host:port`, `http://host:port` or `host:port`. */
  constructor(endpoint: string, options: ClientOptions = {}) {
    const [baseUrl = ""] = parseEndpoints([endpoint], options.tls);
    this.#options = options;
    const pings = { pingIntervalMs: KEEPALIVE_INTERVAL_MS, pingTimeoutMs: KEEPALIVE_TIMEOUT_MS, pingIdleConnection: true };
    const settings = { initialWindowSize: WINDOW_BYTES };
    this.#connection = new Http2SessionManager(baseUrl, pings, { settings, ...options.tls });
    const transport = createGrpcTransport({
      baseUrl,
      sessionManager: this.#connection,
      readMaxBytes: MAX_MESSAGE_BYTES,
      writeMaxBytes: MAX_MESSAGE_BYTES,
      interceptors: withCredential(options.credential),
    });
    this.raw = createClient(JobService, transport);
  }

  /** Ends the connection under whatever still runs on it; the process may end then. */
  close(): void {
    this.#connection.abort();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Stores one job. It is durable when this resolves. */
  async enqueue(job: NewJob, options: CallOptions = {}): Promise<Enqueued> {
    const request = { spec: specOf(job), requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    const headers = job.traceparent === undefined ? {} : { headers: { traceparent: job.traceparent } };
    const response = await this.#repeat(options, (wire) => this.raw.enqueue(request, { ...wire, ...headers }));
    return { job: known(response.job, "EnqueueResponse.job"), deduplicated: response.deduplicated };
  }

  /** Stores 1..1000 jobs of 4 MiB in all in one commit. One result per item, in order. */
  async enqueueBatch(jobs: readonly NewJob[], options: CallOptions & { readonly atomic?: boolean } = {}): Promise<BatchItem[]> {
    const request = {
      specs: jobs.map(specOf),
      atomic: options.atomic ?? false,
      requestId: options.requestId ?? randomUUID(),
      actor: this.#actor(options),
    };
    const { results } = await this.#repeat(options, (wire) => this.raw.enqueueBatch(request, wire));
    if (results.length !== jobs.length) throw new ProtocolError("EnqueueBatchResponse of another length");
    return results.map(({ outcome }): BatchItem => {
      if (outcome.case === "job") return { job: outcome.value };
      if (outcome.case === "error") return { error: outcome.value };
      throw new ProtocolError("EnqueueBatchResult without outcome");
    });
  }

  /** One job, with payload and result. */
  async get(id: string, options: CallOptions & { readonly view?: JobView } = {}): Promise<Job> {
    const request = { id, view: options.view ?? JobView.FULL };
    return known((await this.#repeat(options, (wire) => this.raw.get(request, wire))).job, "GetResponse.job");
  }

  /** Many jobs in the order of the ids, none where no server knows one. Asks as often as it takes. */
  async batchGet(
    ids: readonly string[],
    options: CallOptions & { readonly view?: JobView } = {},
  ): Promise<(Job | undefined)[]> {
    const found: (Job | undefined)[] = [];
    while (found.length < ids.length) {
      const step = ids.slice(found.length, found.length + MAX_IDS);
      const request = { ids: step, view: options.view ?? JobView.FULL };
      const { results } = await this.#repeat(options, (wire) => this.raw.batchGet(request, wire));
      const isWhole = results.length > 0 && results.length <= step.length;
      if (!isWhole) throw new ProtocolError("BatchGetResponse of another length");
      for (const { outcome } of results) {
        if (outcome.case === undefined) throw new ProtocolError("BatchGetResult without outcome");
        found.push(outcome.case === "job" ? outcome.value : undefined);
      }
    }
    return found;
  }

  /** How many jobs are in each state. Without queues: of all. At most 100 queues. */
  counts(queues: readonly string[] = [], options: CallOptions = {}): Promise<CountsResponse> {
    return this.#repeat(options, (wire) => this.raw.counts({ queues: [...queues] }, wire));
  }

  /** The attempts of a job, newest first, read page by page. */
  async *listAttempts(
    id: string,
    options: CallOptions & { readonly pageSize?: number } = {},
  ): AsyncGenerator<Attempt, void, undefined> {
    let pageToken = "";
    do {
      const request = { id, pageSize: options.pageSize ?? 0, pageToken };
      const page = await this.#repeat(options, (wire) => this.raw.listAttempts(request, wire));
      yield* page.attempts;
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
  }

  /** One page of jobs, newest first. */
  listPage(request: MessageInitShape<typeof ListRequestSchema>, options: CallOptions = {}): Promise<ListResponse> {
    return this.#repeat(options, (wire) => this.raw.list(request, wire));
  }

  /** All jobs that match, newest first, read page by page. */
  async *list(
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

  /** Ends a waiting job at once; asks the handler of a running one to stop. */
  async cancel(id: string, options: CallOptions & { readonly reason?: string } = {}): Promise<CancelReply> {
    const request = { id, reason: options.reason ?? "", requestId: options.requestId ?? "", actor: this.#actor(options) };
    const { outcome, job } = await this.#repeat(options, (wire) => this.raw.cancel(request, wire));
    return { outcome, job: known(job, "CancelResponse.job") };
  }

  /** Runs a final job once more: same id, run + 1, a new budget of attempts. */
  async retry(id: string, options: CallOptions = {}): Promise<Job> {
    const request = { id, requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    return known((await this.#repeat(options, (wire) => this.raw.retry(request, wire))).job, "RetryResponse.job");
  }

  /** Makes a SCHEDULED job ready to start now. */
  async runNow(id: string, options: CallOptions = {}): Promise<Job> {
    const request = { id, requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    return known((await this.#repeat(options, (wire) => this.raw.runNow(request, wire))).job, "RunNowResponse.job");
  }

  /** Changes the values that `updateMask` names of a job that has not started. */
  async update(request: MessageInitShape<typeof UpdateRequestSchema>, options: CallOptions = {}): Promise<Job> {
    const requestId = request.requestId || (options.requestId ?? randomUUID());
    const asked = { ...request, requestId, actor: request.actor || this.#actor(options) };
    return known((await this.#repeat(options, (wire) => this.raw.update(asked, wire))).job, "UpdateResponse.job");
  }

  /** Removes a job that does not run, with all that belongs to it. */
  async delete(id: string, options: CallOptions = {}): Promise<void> {
    const request = { id, requestId: options.requestId ?? randomUUID(), actor: this.#actor(options) };
    await this.#repeat(options, (wire) => this.raw.delete(request, wire));
  }

  /**
   * One step through the jobs of a filter; `nextPageToken` of the answer says whether and where to
   * go on. Safe to repeat.
   */
  bulk(request: MessageInitShape<typeof BulkRequestSchema>, options: CallOptions = {}): Promise<BulkResponse> {
    const asked = { ...request, actor: request.actor || this.#actor(options) };
    return this.#repeat(options, (wire) => this.raw.bulk(asked, wire));
  }

  /**
   * The bytes that an attempt handed out, in pieces of at most 64 KiB; `run` and `attempt` 0: the
   * newest. It ends with the connection: `offset` goes on where it ended.
   */
  async *readOutput(
    request: MessageInitShape<typeof ReadOutputRequestSchema>,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<ReadOutputResponse, void, undefined> {
    try {
      yield* this.raw.readOutput(request, signalOf(options));
    } catch (error) {
      options.signal?.throwIfAborted();
      throw fromWire(error);
    }
  }

  /** What the handlers of a job logged, oldest first. */
  async *readLogs(
    id: string,
    options: CallOptions & { readonly attempt?: number; readonly follow?: boolean } = {},
  ): AsyncGenerator<LogLine, void, undefined> {
    const request = { id, attempt: options.attempt ?? 0, follow: options.follow ?? false };
    try {
      for await (const { lines } of this.raw.readLogs(request, signalOf(options))) yield* lines;
    } catch (error) {
      options.signal?.throwIfAborted();
      throw fromWire(error);
    }
  }

  /**
   * Follows jobs: a snapshot first, then every state change. Breaks are bridged: it resumes after
   * the last event; what could not be resumed shows as a `gap`, followed by a new snapshot.
   */
  watch(options: WatchOptions): Watch {
    return new Watch(this.raw, options);
  }

  /**
   * Waits until the job is final; answers it with its result, whatever the end.
   *
   * @throws ApiError JOB_NOT_FOUND when no server knows the id.
   */
  async waitForResult(id: string, options: { readonly signal?: AbortSignal } = {}): Promise<Job> {
    const watch = this.watch({ jobs: [id], view: JobView.FULL, ...options });
    for await (const event of watch) {
      if (event.case === "snapshot" && event.value.unknownIds.includes(id)) {
        throw new ApiError(`job ${id} does not exist`, Code.NotFound, "JOB_NOT_FOUND", {}, [], undefined);
      }
      const jobs = event.case === "snapshot" ? event.value.jobs : event.case === "change" ? [event.value.job] : [];
      const final = jobs.find((job) => job?.id === id && isFinal(job.state));
      if (final !== undefined) return final;
    }
    options.signal?.throwIfAborted();
    // The end came between two reads of ours: the record itself has the answer.
    return this.get(id);
  }

  #actor(options: CallOptions): string {
    return options.actor ?? this.#options.actor ?? "";
  }

  /** Calls until there is an answer or the tries are used up. Only for calls that may be repeated. */
  async #repeat<T>(options: CallOptions, call: (wire: WireOptions) => Promise<T>): Promise<T> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, deadlineMs = DEFAULT_DEADLINE_MS } = this.#options;
    const tries = new Tries(this.#budget, performance.now() + deadlineMs);
    for (;;) {
      try {
        const wire = { timeoutMs: Math.min(timeoutMs, Math.ceil(tries.leftMs(performance.now()))) };
        const answer = await call({ ...wire, ...signalOf(options) });
        tries.answered();
        return answer;
      } catch (cause) {
        options.signal?.throwIfAborted();
        const error = fromWire(cause);
        const pause = tries.failed(error, performance.now(), Math.random());
        if (pause === undefined) throw error;
        await sleep(pause, options.signal);
      }
    }
  }
}

function signalOf(options: { readonly signal?: AbortSignal }): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}

function known<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new ProtocolError(`the server sent no ${what}`);
  return value;
}


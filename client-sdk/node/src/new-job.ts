/** The job to enqueue and its conversion into a JobSpec. */
import { create } from "@bufbuild/protobuf";
import { toPayload } from "./bytes.js";
import {
  AckLevel,
  BackoffKind,
  DependencyFailurePolicy,
  Jitter,
  type JobSpec,
  JobSpecSchema,
  LostPolicy,
  UniqueMode,
  UniqueScope,
} from "./gen/sentinel/jobs/v1/job_pb.js";
import { canonicalId } from "./ids.js";
import { wireDuration, wireTimestamp } from "./time.js";

/** How failed attempts are retried. */
export interface RetryPolicy {
  /** The limit of attempts per run, the first one included. Default 3, range 1..1000. */
  readonly maxAttempts?: number;
  /** How the delay grows. Default exponential. */
  readonly backoff?: "fixed" | "exponential";
  /** The first delay. Default 1 s, range 1 ms..24 h. */
  readonly baseMs?: number;
  /** The longest delay. Default 10 min, range base..30 d. */
  readonly capMs?: number;
  /** Whether delays are random, between 0 and the computed one. Default full. */
  readonly jitter?: "none" | "full";
}

/** A unique key, which prevents duplicate jobs. */
export interface Unique {
  /** The key. 1..256 bytes. */
  readonly key: string;
  /** Whether the key is unique among the jobs of the same kind in the queue, or of the whole queue. Default kind. */
  readonly scope?: "kind" | "queue";
  /** What an enqueue does while another job holds the key. Default return_existing. */
  readonly mode?: "return_existing" | "reject" | "replace_pending" | "debounce";
  /** How long a job holds the key. Default: until it is terminal. Range 1 s..30 d. */
  readonly ttlMs?: number;
}

/** A job to enqueue. */
export interface NewJob {
  /** The kind, which selects the handler. 1..128 characters of [A-Za-z0-9._-]. */
  readonly kind: string;
  /** The queue. Default `default`. */
  readonly queue?: string;
  /**
   * The handler's input: bytes (typed arrays, ArrayBuffer) are sent unchanged, anything else as JSON. What has no
   * JSON form, such as NaN, a bigint, a Map or a function, is refused. At most 1 MiB.
   */
  readonly payload?: unknown;
  /** The media type of the payload. Default application/json, for bytes application/octet-stream. */
  readonly contentType?: string;
  /** The priority, 0..9; jobs with a higher one start first. Default 0. */
  readonly priority?: number;
  /** The earliest start time. At most 366 days ahead. Excludes `delayMs`. */
  readonly runAt?: Date;
  /** The delay of the start after the enqueue. Excludes `runAt`. */
  readonly delayMs?: number;
  /** The latest start time. A job that has not started by then becomes EXPIRED. */
  readonly startDeadline?: Date;
  /** The limit of one attempt's duration. 1 ms..30 d. */
  readonly runTimeoutMs?: number;
  /** How failed attempts are retried. */
  readonly retry?: RetryPolicy;
  /** Labels, which lists and watches can filter by. At most 16. */
  readonly labels?: Readonly<Record<string, string>>;
  /** A unique key, which prevents duplicate jobs. */
  readonly unique?: Unique;
  /** Ids of jobs that must be terminal before this job starts. At most 100. */
  readonly dependsOn?: readonly string[];
  /** What happens when a dependency does not succeed. Default cancel. */
  readonly onDependencyFailure?: "cancel" | "run";
  /** What happens when the worker that runs the job is lost. Default retry. */
  readonly onLost?: "retry" | "fail";
  /** The W3C traceparent of the caller. It is stored with the job and sent as call metadata. */
  readonly traceparent?: string;
  /** How long a running handler may continue after a cancel. 0..1 h. Default 30 s. */
  readonly cancelGraceMs?: number;
  /** The durability level that a change must reach before it is acknowledged. Default: the server's setting. */
  readonly ack?: "store" | "replicated" | "ledger";
}

const BACKOFF = { fixed: BackoffKind.FIXED, exponential: BackoffKind.EXPONENTIAL } as const;
const JITTER = { none: Jitter.NONE, full: Jitter.FULL } as const;
const SCOPE = { kind: UniqueScope.KIND, queue: UniqueScope.QUEUE } as const;
const MODE = {
  return_existing: UniqueMode.RETURN_EXISTING,
  reject: UniqueMode.REJECT,
  replace_pending: UniqueMode.REPLACE_PENDING,
  debounce: UniqueMode.DEBOUNCE,
} as const;

const ACK = { store: AckLevel.STORE, replicated: AckLevel.REPLICATED, ledger: AckLevel.LEDGER } as const;

const durationField = <K extends string>(key: K, field: string, ms: number | undefined) =>
  (ms === undefined ? {} : { [key]: wireDuration(field, ms) }) as Partial<Record<K, ReturnType<typeof wireDuration>>>;
const timestampField = <K extends string>(key: K, date: Date | undefined) =>
  (date === undefined ? {} : { [key]: wireTimestamp(key, date.getTime()) }) as Partial<
    Record<K, ReturnType<typeof wireTimestamp>>
  >;

/** @throws InvalidArgumentError that names a part of the payload without a JSON form, or a time outside the range of the wire. */
export function toJobSpec(job: NewJob): JobSpec {
  const { bytes, isBinary } = toPayload("payload", job.payload);
  const { retry, unique } = job;
  return create(JobSpecSchema, {
    queue: job.queue ?? "default",
    kind: job.kind,
    payload: bytes,
    contentType: job.contentType ?? (isBinary ? "application/octet-stream" : "application/json"),
    priority: job.priority ?? 0,
    labels: { ...job.labels },
    dependsOn: (job.dependsOn ?? []).map(canonicalId),
    traceparent: job.traceparent ?? "",
    ...timestampField("runAt", job.runAt),
    ...durationField("delay", "delayMs", job.delayMs),
    ...timestampField("startDeadline", job.startDeadline),
    ...durationField("runTimeout", "runTimeoutMs", job.runTimeoutMs),
    ...durationField("cancelGrace", "cancelGraceMs", job.cancelGraceMs),
    ...(job.onLost && { onLost: job.onLost === "fail" ? LostPolicy.FAIL : LostPolicy.RETRY }),
    ...(job.onDependencyFailure && { onDependencyFailure: dependencyPolicy(job.onDependencyFailure) }),
    ...(job.ack && { ack: ACK[job.ack] }),
    ...(retry && {
      retry: {
        maxAttempts: retry.maxAttempts ?? 0,
        backoff: retry.backoff ? BACKOFF[retry.backoff] : BackoffKind.UNSPECIFIED,
        jitter: retry.jitter ? JITTER[retry.jitter] : Jitter.UNSPECIFIED,
        ...durationField("base", "retry.baseMs", retry.baseMs),
        ...durationField("cap", "retry.capMs", retry.capMs),
      },
    }),
    ...(unique && {
      unique: {
        key: unique.key,
        scope: SCOPE[unique.scope ?? "kind"],
        mode: MODE[unique.mode ?? "return_existing"],
        ...durationField("ttl", "unique.ttlMs", unique.ttlMs),
      },
    }),
  });
}

function dependencyPolicy(policy: "cancel" | "run"): DependencyFailurePolicy {
  return policy === "run" ? DependencyFailurePolicy.RUN : DependencyFailurePolicy.CANCEL;
}

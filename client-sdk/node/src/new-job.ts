/** What to enqueue, in the words of this language. */
import { create } from "@bufbuild/protobuf";
import {
  AckLevel,
  BackoffKind,
  DependencyFailurePolicy,
  type JobSpec,
  JobSpecSchema,
  Jitter,
  LostPolicy,
  UniqueMode,
  UniqueScope,
} from "./gen/sentinel/jobs/v1/job_pb.js";
import { wireDuration, wireTimestamp } from "./time.js";
import { toBytes } from "./worker/outcome.js";

export interface RetryPolicyOptions {
  /** Attempts in all, the first included. Default 3, range 1..1000. */
  readonly maxAttempts?: number;
  /** How the pause grows. Default exponential. */
  readonly backoff?: "fixed" | "exponential";
  /** The first pause. Default 1 s, range 1 ms..24 h. */
  readonly baseMs?: number;
  /** The longest pause. Default 10 min, range base..30 d. */
  readonly capMs?: number;
  /** Default full. */
  readonly jitter?: "none" | "full";
}

export interface UniqueOptions {
  /** 1..256 bytes. */
  readonly key: string;
  /** Among jobs of the same kind in the queue, or all of the queue. Default kind. */
  readonly scope?: "kind" | "queue";
  /** What an enqueue does when another job holds the key. Default return_existing. */
  readonly mode?: "return_existing" | "reject" | "replace_pending" | "debounce";
  /** Not set: until the holder is final. Range 1 s..30 d. */
  readonly ttlMs?: number;
}

/** A job to be. */
export interface NewJob {
  /** Which handler runs it. 1..128 characters of [A-Za-z0-9._-]. */
  readonly kind: string;
  /** Default `default`. */
  readonly queue?: string;
  /** The handler's input: bytes as they are, all else as JSON. At most 1 MiB. */
  readonly payload?: unknown;
  /** Default application/json, for bytes application/octet-stream. */
  readonly contentType?: string;
  /** 9 is the most urgent. Default 0. */
  readonly priority?: number;
  /** When it may start. Excludes `delayMs`. */
  readonly runAt?: Date;
  /** As `runAt`, counted from the enqueue. */
  readonly delayMs?: number;
  /** A job not started by then is EXPIRED. */
  readonly startDeadline?: Date;
  /** The longest that one attempt may run. */
  readonly runTimeoutMs?: number;
  readonly retry?: RetryPolicyOptions;
  /** At most 16. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly unique?: UniqueOptions;
  /** Ids of jobs that must be final first. At most 100. */
  readonly dependsOn?: readonly string[];
  /** What happens when one of them does not succeed. Default cancel. */
  readonly onDependencyFailure?: "cancel" | "run";
  /** What happens when the worker that runs it is lost. Default retry. */
  readonly onLost?: "retry" | "fail";
  /** W3C traceparent of the caller. */
  readonly traceparent?: string;
  /** How long a running handler may go on after a cancel. Default 30 s. */
  readonly cancelGraceMs?: number;
  /** How safe a change must be before it is acknowledged. Default: as the server is set. */
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

const span = <K extends string>(key: K, field: string, ms: number | undefined) =>
  (ms === undefined ? {} : { [key]: wireDuration(field, ms) }) as Partial<Record<K, ReturnType<typeof wireDuration>>>;
const moment = <K extends string>(key: K, date: Date | undefined) =>
  (date === undefined ? {} : { [key]: wireTimestamp(key, date.getTime()) }) as Partial<
    Record<K, ReturnType<typeof wireTimestamp>>
  >;

export function specOf(job: NewJob): JobSpec {
  const isBytes = job.payload instanceof Uint8Array;
  const { retry, unique } = job;
  return create(JobSpecSchema, {
    queue: job.queue ?? "default",
    kind: job.kind,
    payload: isBytes || job.payload === undefined ? toBytes(job.payload) : toBytes(JSON.stringify(job.payload)),
    contentType: job.contentType ?? (isBytes ? "application/octet-stream" : "application/json"),
    priority: job.priority ?? 0,
    labels: { ...job.labels },
    dependsOn: [...(job.dependsOn ?? [])],
    traceparent: job.traceparent ?? "",
    ...moment("runAt", job.runAt),
    ...span("delay", "delayMs", job.delayMs),
    ...moment("startDeadline", job.startDeadline),
    ...span("runTimeout", "runTimeoutMs", job.runTimeoutMs),
    ...span("cancelGrace", "cancelGraceMs", job.cancelGraceMs),
    ...(job.onLost && { onLost: job.onLost === "fail" ? LostPolicy.FAIL : LostPolicy.RETRY }),
    ...(job.onDependencyFailure && { onDependencyFailure: dependencyPolicy(job.onDependencyFailure) }),
    ...(job.ack && { ack: ACK[job.ack] }),
    ...(retry && {
      retry: {
        maxAttempts: retry.maxAttempts ?? 0,
        backoff: retry.backoff ? BACKOFF[retry.backoff] : BackoffKind.UNSPECIFIED,
        jitter: retry.jitter ? JITTER[retry.jitter] : Jitter.UNSPECIFIED,
        ...span("base", "retry.baseMs", retry.baseMs),
        ...span("cap", "retry.capMs", retry.capMs),
      },
    }),
    ...(unique && {
      unique: {
        key: unique.key,
        scope: SCOPE[unique.scope ?? "kind"],
        mode: MODE[unique.mode ?? "return_existing"],
        ...span("ttl", "unique.ttlMs", unique.ttlMs),
      },
    }),
  });
}

const ACK = { store: AckLevel.STORE, replicated: AckLevel.REPLICATED, ledger: AckLevel.LEDGER } as const;

function dependencyPolicy(policy: "cancel" | "run"): DependencyFailurePolicy {
  return policy === "run" ? DependencyFailurePolicy.RUN : DependencyFailurePolicy.CANCEL;
}

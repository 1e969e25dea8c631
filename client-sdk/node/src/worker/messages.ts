/**
 * What the handlers' thread and the session's thread tell each other. The session has a thread of
 * its own, so that a handler that never yields can not delay a ping.
 */
import type { Tls } from "../endpoint.js";
import type { LogLevel } from "../gen/sentinel/jobs/v1/job_pb.js";
import type { Assignment, Lease } from "../gen/sentinel/workers/v1/worker_service_pb.js";

/** Who this worker is, and how much it runs. Handed to the session's thread when it starts. */
export interface Setup {
  readonly endpoints: readonly string[];
  readonly credential: string | undefined;
  readonly tls: Tls | undefined;
  readonly instance: string;
  readonly build: string;
  readonly queues: readonly string[];
  readonly kinds: readonly { readonly name: string; readonly description: string }[];
  readonly labels: Readonly<Record<string, string>>;
  /** Jobs that run at the same time. */
  readonly slots: number;
  /** Payload bytes of the running jobs, a soft bound. 0: no bound. */
  readonly payloadBytes: number;
  readonly drainTimeoutMs: number;
}

/** An attempt as its handler sees it. */
export interface Start {
  /** Counts the attempts of this process; never reused, unlike the parts of a lease. */
  readonly no: number;
  readonly jobId: string;
  readonly run: number;
  readonly attempt: number;
  readonly epoch: bigint;
  readonly kind: string;
  readonly queue: string;
  readonly payload: Uint8Array;
  readonly contentType: string;
  readonly checkpoint: Uint8Array;
  readonly traceparent: string;
  readonly maxAttempts: number;
  readonly labels: Record<string, string>;
}

/** How a handler ended. */
export type Ended =
  | { readonly type: "succeed"; readonly result: Uint8Array }
  | {
      readonly type: "fail";
      readonly message: string;
      readonly code: string;
      readonly retryable: boolean;
      readonly nextDelayMs: number | undefined;
    }
  | { readonly type: "snooze"; readonly delayMs: number }
  | { readonly type: "release" }
  | { readonly type: "cancelled" };

export interface Line {
  readonly seq: number;
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly text: string;
}

export interface NewProgress {
  readonly seq: number;
  readonly done: bigint;
  readonly total: bigint;
  readonly message: string;
}

export type CheckpointAnswer = "stored" | "fenced" | "ended";

export type OutputAnswer = "stored" | "fenced" | "ended" | "not_taken" | "unsupported";

export type ToSession =
  | { readonly type: "finished"; readonly no: number; readonly startedAtMs: number; readonly ended: Ended }
  | { readonly type: "progress"; readonly no: number; readonly progress: NewProgress }
  | { readonly type: "log"; readonly no: number; readonly lines: readonly Line[] }
  | { readonly type: "checkpoint"; readonly no: number; readonly seq: number; readonly data: Uint8Array }
  | { readonly type: "output"; readonly no: number; readonly offset: number; readonly data: Uint8Array }
  | { readonly type: "drain" }
  | { readonly type: "stop" };

export type FromSession =
  | { readonly type: "start"; readonly starts: readonly Start[] }
  /** The handler should stop. */
  | { readonly type: "cancel"; readonly no: number }
  /** Nobody waits for this handler any more. */
  | { readonly type: "abandon"; readonly no: number }
  /** The lines handed over are on their way: more may come. */
  | { readonly type: "tookLines"; readonly no: number }
  | {
      readonly type: "checkpointed";
      readonly no: number;
      readonly seq: number;
      readonly answer: CheckpointAnswer;
    }
  | { readonly type: "handed"; readonly no: number; readonly offset: number; readonly answer: OutputAnswer }
  | { readonly type: "event"; readonly text: string; readonly isWarning: boolean }
  | { readonly type: "over"; readonly error: SessionFailure | undefined };

/** An error that crosses between threads, where classes do not. */
export interface SessionFailure {
  readonly message: string;
  /** gRPC status, when a server answered. */
  readonly code: number | undefined;
  readonly reason: string;
}

/** The handlers' side, as far as the rules tell it things. */
export interface Handlers {
  start(no: number, assignment: Assignment, lease: Lease): void;
  cancel(no: number): void;
  /** Nobody waits for this handler any more. */
  abandon(no: number): void;
  tookLines(no: number): void;
  checkpointed(no: number, seq: number, answer: CheckpointAnswer): void;
  handed(no: number, offset: number, answer: OutputAnswer): void;
}

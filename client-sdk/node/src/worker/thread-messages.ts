/**
 * The messages between the caller's thread, which runs handlers, and the session's thread. The session
 * has its own thread so that a handler that never yields cannot delay a ping.
 */
import type { TlsConfig } from "../endpoint.js";
import type { LogLevel } from "../gen/sentinel/jobs/v1/job_pb.js";
import type { Assignment, Lease } from "../gen/sentinel/workers/v1/worker_service_pb.js";

/** The settings of a session, passed to its thread at the start. */
export interface SessionConfig {
  readonly endpoints: readonly string[];
  readonly credential: string | undefined;
  readonly tls: TlsConfig | undefined;
  readonly instance: string;
  readonly buildVersion: string;
  readonly queues: readonly string[];
  readonly kinds: readonly { readonly name: string; readonly description: string; readonly inputSchema: string }[];
  readonly labels: Readonly<Record<string, string>>;
  /** The limit of jobs that run at the same time. */
  readonly slots: number;
  /** The soft limit of payload bytes of running jobs. 0 means unlimited. */
  readonly maxPayloadBytes: number;
  readonly drainTimeoutMs: number;
}

/** What a worker says about itself in Hello. */
export function identity(config: SessionConfig) {
  const { instance, buildVersion: build, queues, kinds, labels } = config;
  return { instance, build, queues: [...queues], kinds: kinds.map((kind) => ({ ...kind })), labels: { ...labels } };
}

/** An attempt to start. */
export interface StartAttempt {
  /** Unique within this run of the worker, unlike the parts of a lease. */
  readonly localId: number;
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

/** A failed attempt. */
export interface Failure {
  readonly type: "fail";
  readonly message: string;
  readonly code: string;
  readonly retryable: boolean;
  readonly nextDelayMs: number | undefined;
  /** The stack trace with those of the causes. */
  readonly detail: string;
}

/** The outcome of a handler. */
export type HandlerOutcome =
  | { readonly type: "succeed"; readonly result: Uint8Array }
  | Failure
  | { readonly type: "snooze"; readonly delayMs: number }
  | { readonly type: "release" }
  | { readonly type: "cancelled" };

export interface LogEntry {
  readonly seq: number;
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly text: string;
}

export interface ProgressUpdate {
  readonly seq: number;
  readonly done: bigint;
  readonly total: bigint;
  readonly message: string;
}

export type CheckpointResult = "stored" | "fenced" | "finished";

export type OutputResult = "stored" | "fenced" | "finished" | "rejected" | "unsupported";

/** The level of a log message about the session. */
export type LogEventLevel = "info" | "warn";

export type ToSession =
  /** The handler begins. Its run_timeout counts from now. */
  | { readonly type: "started"; readonly localId: number }
  | {
      readonly type: "finished";
      readonly localId: number;
      readonly startedAtMs: number;
      readonly outcome: HandlerOutcome;
    }
  | { readonly type: "progress"; readonly localId: number; readonly progress: ProgressUpdate }
  | { readonly type: "log"; readonly localId: number; readonly entries: readonly LogEntry[] }
  | { readonly type: "checkpoint"; readonly localId: number; readonly seq: number; readonly data: Uint8Array }
  | { readonly type: "output"; readonly localId: number; readonly offset: number; readonly data: Uint8Array }
  | { readonly type: "drain" }
  | { readonly type: "stop" };

export type FromSession =
  | { readonly type: "start"; readonly attempts: readonly StartAttempt[] }
  /** The handler should stop. */
  | { readonly type: "cancel"; readonly localId: number }
  /** The result of this handler is ignored from now on. */
  | { readonly type: "abandon"; readonly localId: number }
  /** The log entries of the last message were sent; the handler's thread may send more. */
  | { readonly type: "linesAccepted"; readonly localId: number }
  | {
      readonly type: "checkpointResult";
      readonly localId: number;
      readonly seq: number;
      readonly result: CheckpointResult;
    }
  | {
      readonly type: "outputResult";
      readonly localId: number;
      readonly offset: number;
      readonly result: OutputResult;
    }
  | { readonly type: "log"; readonly level: LogEventLevel; readonly message: string }
  | { readonly type: "connected"; readonly server: string; readonly endpoint: string }
  | { readonly type: "disconnected"; readonly message: string }
  | { readonly type: "closed"; readonly error: SessionFailure | undefined };

/** An error in a form that can be sent between threads. */
export interface SessionFailure {
  readonly message: string;
  /** The gRPC status code, if a server returned the error. */
  readonly code: number | undefined;
  readonly reason: string;
}

/** What the session state requests from the handlers. */
export interface Handlers {
  start(localId: number, assignment: Assignment, lease: Lease): void;
  cancel(localId: number): void;
  /** The result of this handler is ignored from now on. */
  abandon(localId: number): void;
  linesAccepted(localId: number): void;
  checkpointResult(localId: number, seq: number, result: CheckpointResult): void;
  outputResult(localId: number, offset: number, result: OutputResult): void;
}

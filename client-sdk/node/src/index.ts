/** The Node.js SDK of the Sentinel job orchestrator: a client and a worker runtime. */
export { Code } from "@connectrpc/connect";
export {
  type BatchItemResult,
  type CallOptions,
  type CancelResult,
  Client,
  type ClientOptions,
  type EnqueueResult,
} from "./client.js";
export type { TlsConfig } from "./endpoint.js";
export {
  ApiError,
  CallTimeoutError,
  ClientClosedError,
  type ErrorReason,
  type FieldViolation,
  InvalidArgumentError,
  ProtocolError,
  SentinelError,
  TransportError,
} from "./errors.js";
export type { JobFilter, StateLike } from "./filter.js";
export { isTerminal, resultJson, resultText } from "./job.js";
export type { JobChanges } from "./job-changes.js";
export { defineJob, type JobDefaults, type JobDefinition, JobHandle, JobUnsuccessfulError } from "./job-handle.js";
export type { NewJob, RetryPolicy, Unique } from "./new-job.js";
export { CancelOutcome, type Job, JobState, JobView, StateReason } from "./proto.js";
export { type QueueSettings, Queues } from "./queues.js";
export { type WatchEvent, type WatchOptions, WatchStream } from "./watch.js";
export * from "./worker.js";

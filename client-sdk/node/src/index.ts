/** Client and worker runtime of the Sentinel job orchestrator. */
export { Code } from "@connectrpc/connect";
export { Client, type ClientOptions, type CallOptions, type Enqueued, type BatchItem, type CancelReply } from "./client.js";
export type { Tls } from "./endpoint.js";
export type { NewJob, RetryPolicyOptions, UniqueOptions } from "./new-job.js";
export { type WatchEvent, type WatchOptions, Watch } from "./watch.js";
export {
  ApiError,
  InvalidArgumentError,
  ProtocolError,
  SentinelError,
  TimeoutError,
  TransportError,
  type FieldViolation,
  type Reason,
} from "./errors.js";
export { isFinal, resultJson, resultText } from "./job.js";
export * from "./worker.js";
export { CancelOutcome, JobState, JobView, StateReason, type Job as JobRecord } from "./proto.js";

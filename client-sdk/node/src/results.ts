/** The results of calls. */
import type { CancelOutcome, EnqueuedJob, ItemError, Job } from "./proto.js";

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

import type { Job } from "../gen/sentinel/jobs/v1/job_pb";

/** Returns a key that changes with each state and attempt, but not with checkpoints. Queries for
 * attempts, logs and output, which are not on the live stream, use it to refetch. */
export const attemptKey = (job: Job): string => `${job.run}/${job.attempt}/${job.state}`;

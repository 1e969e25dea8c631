/** The state and the result of a job. */
import { type Job, JobState } from "./gen/sentinel/jobs/v1/job_pb.js";

/** Whether `state` is terminal: the job has finished and only a retry changes its state. */
export function isTerminal(state: JobState): boolean {
  switch (state) {
    case JobState.SUCCEEDED:
    case JobState.FAILED:
    case JobState.CANCELLED:
    case JobState.EXPIRED:
      return true;
    default:
      return false;
  }
}

/** The result of a job as text. */
export function resultText(job: Job): string {
  return new TextDecoder().decode(job.result);
}

/** The result of a job, parsed as JSON. An empty result is `null`. `T` is not checked. */
export function resultJson<T = unknown>(job: Job): T {
  return JSON.parse(resultText(job) || "null") as T;
}

/** What a job's record says. */
import { type Job, JobState } from "./gen/sentinel/jobs/v1/job_pb.js";

/** Nothing but a retry moves a job out of these. */
export function isFinal(state: JobState): boolean {
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

/** What the handler returned, as text. */
export function resultText(job: Job): string {
  return new TextDecoder().decode(job.result);
}

/** What the handler returned, as JSON; nothing reads as `null`. The type is the caller's claim. */
export function resultJson<T = unknown>(job: Job): T {
  return JSON.parse(resultText(job) || "null") as T;
}

// The states of a job: which are final, in which order they are shown, and their names in URLs.
import { JobState } from "../gen/sentinel/jobs/v1/job_pb";

export const STATES = [
  JobState.RUNNING,
  JobState.READY,
  JobState.SCHEDULED,
  JobState.BLOCKED,
  JobState.FAILED,
  JobState.CANCELLED,
  JobState.EXPIRED,
  JobState.SUCCEEDED,
] as const;

export type KnownState = (typeof STATES)[number];

export type StateName =
  | "running"
  | "ready"
  | "scheduled"
  | "blocked"
  | "failed"
  | "cancelled"
  | "expired"
  | "succeeded";

const NAMES: Record<KnownState, StateName> = {
  [JobState.RUNNING]: "running",
  [JobState.READY]: "ready",
  [JobState.SCHEDULED]: "scheduled",
  [JobState.BLOCKED]: "blocked",
  [JobState.FAILED]: "failed",
  [JobState.CANCELLED]: "cancelled",
  [JobState.EXPIRED]: "expired",
  [JobState.SUCCEEDED]: "succeeded",
};

/** A state that this panel does not know yet is shown as waiting. */
export function nameOf(state: JobState): StateName {
  return state === JobState.UNSPECIFIED ? "ready" : (NAMES[state] ?? "ready");
}

export function stateOf(name: string): KnownState | undefined {
  return STATES.find((state) => NAMES[state] === name);
}

export function isFinal(state: JobState): boolean {
  return (
    state === JobState.SUCCEEDED ||
    state === JobState.FAILED ||
    state === JobState.CANCELLED ||
    state === JobState.EXPIRED
  );
}

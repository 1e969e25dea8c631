// The states of a job in display order, and their names in URLs.
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

/** Returns the name of a state. A state of a newer server, unknown here, counts as ready. */
export function stateName(state: JobState): StateName {
  return state === JobState.UNSPECIFIED ? "ready" : (NAMES[state] ?? "ready");
}

export function parseState(name: string): KnownState | undefined {
  return STATES.find((state) => NAMES[state] === name);
}

export function isTerminal(state: JobState): boolean {
  return (
    state === JobState.SUCCEEDED ||
    state === JobState.FAILED ||
    state === JobState.CANCELLED ||
    state === JobState.EXPIRED
  );
}

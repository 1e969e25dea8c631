/** Filters of jobs, with states by number or by name. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { InvalidArgumentError } from "./errors.js";
import { type BulkRequestSchema, type JobFilterSchema, JobState, type ListRequestSchema } from "./proto.js";

type StateName = Exclude<keyof typeof JobState, "UNSPECIFIED">;

/** A state: `JobState.FAILED`, or its name in any case: `failed`, `FAILED`, `JOB_STATE_FAILED`. */
export type StateLike = JobState | StateName | Lowercase<StateName> | (string & {});

type FilterInit = Exclude<MessageInitShape<typeof JobFilterSchema>, { $typeName: string }>;

/** Selects jobs. All conditions must hold; without any, all jobs are selected. */
export type JobFilter = Omit<FilterInit, "states"> & {
  /** Any of these states. Empty: all. */
  readonly states?: readonly StateLike[];
};

/** A request whose filter can name states. */
export type WithFilter<S extends typeof ListRequestSchema | typeof BulkRequestSchema> = Omit<
  Exclude<MessageInitShape<S>, { $typeName: string }>,
  "filter"
> & { readonly filter?: JobFilter };

/** @throws InvalidArgumentError for an unknown state. */
export function withFilter<S extends typeof ListRequestSchema | typeof BulkRequestSchema>(
  request: WithFilter<S>,
): Exclude<MessageInitShape<S>, { $typeName: string }> {
  const { filter } = request;
  const complete = filter === undefined ? request : { ...request, filter: toJobFilter(filter) };
  return complete as Exclude<MessageInitShape<S>, { $typeName: string }>;
}

/** @throws InvalidArgumentError for an unknown state. */
export function toJobFilter(filter: JobFilter): MessageInitShape<typeof JobFilterSchema> {
  return filter.states === undefined ? (filter as FilterInit) : { ...filter, states: filter.states.map(toState) };
}

function toState(state: StateLike): JobState {
  if (typeof state === "number") return state;
  const name = String(state)
    .trim()
    .toUpperCase()
    .replace(/^JOB_STATE_/, "");
  const value = Object.hasOwn(JobState, name) ? JobState[name as StateName] : undefined;
  if (value !== undefined && name !== "UNSPECIFIED") return value;
  const names = Object.values(JobState).filter((key) => typeof key === "string" && key !== "UNSPECIFIED");
  throw new InvalidArgumentError(`invalid state ${JSON.stringify(state)}; allowed are ${names.join(", ")}`);
}

// A filter of jobs: as it stands in an address, and as a message of the contract.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { JobFilterSchema } from "../gen/sentinel/jobs/v1/job_service_pb";
import { stateOf } from "./states";

/** Names between commas, `key=value` between commas, times as ISO 8601. */
export interface FilterSearch {
  state?: string;
  queue?: string;
  kind?: string;
  label?: string;
  after?: string;
  before?: string;
}

const FIELDS = ["state", "queue", "kind", "label", "after", "before"] as const;

export function parseFilter(search: Record<string, unknown>): FilterSearch {
  const found: FilterSearch = {};
  for (const field of FIELDS) {
    const value = search[field];
    // A name of digits comes as a number.
    const text = typeof value === "number" ? String(value) : value;
    if (typeof text === "string" && text.trim() !== "") found[field] = text;
  }
  return found;
}

export function isEmptyFilter(search: FilterSearch): boolean {
  return FIELDS.every((field) => search[field] === undefined);
}

export function listOf(text: string | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

/** The fields that are no filter, with why. */
export function mistakesIn(search: FilterSearch): Map<keyof FilterSearch, string> {
  const found = new Map<keyof FilterSearch, string>();
  for (const name of listOf(search.state)) if (!stateOf(name)) found.set("state", name);
  for (const pair of listOf(search.label)) if (!/^[^=]+=/.test(pair)) found.set("label", pair);
  for (const field of ["after", "before"] as const) {
    const text = search[field];
    if (text !== undefined && Number.isNaN(Date.parse(text))) found.set(field, text);
  }
  return found;
}

/** Parts that are mistaken are left out. */
export function filterOf(search: FilterSearch): MessageInitShape<typeof JobFilterSchema> {
  const labels: Record<string, string> = {};
  for (const pair of listOf(search.label)) {
    const at = pair.indexOf("=");
    if (at > 0) labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const time = (text: string | undefined) => {
    const ms = text === undefined ? Number.NaN : Date.parse(text);
    return Number.isNaN(ms) ? undefined : timestampFromDate(new Date(ms));
  };
  const [after, before] = [time(search.after), time(search.before)];
  return {
    queues: listOf(search.queue),
    kinds: listOf(search.kind),
    states: listOf(search.state).flatMap((name) => stateOf(name) ?? []),
    labels,
    ...(after && { createdAfter: after }),
    ...(before && { createdBefore: before }),
  };
}

// A filter of jobs, in its form in URLs and as a message.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { JobFilterSchema } from "../gen/sentinel/jobs/v1/job_service_pb";
import { parseState } from "./states";

/** Lists are separated by commas, labels are `key=value`, and times are ISO 8601. */
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
    // The router parses a name that consists of digits as a number.
    const text = typeof value === "number" ? String(value) : value;
    if (typeof text === "string" && text.trim() !== "") found[field] = text;
  }
  return found;
}

export function isEmptyFilter(search: FilterSearch): boolean {
  return FIELDS.every((field) => search[field] === undefined);
}

export function splitList(text: string | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

/** Returns the fields with an invalid value, and that value. */
export function filterErrors(search: FilterSearch): Map<keyof FilterSearch, string> {
  const found = new Map<keyof FilterSearch, string>();
  for (const name of splitList(search.state)) if (!parseState(name)) found.set("state", name);
  for (const pair of splitList(search.label)) if (!/^[^=]+=/.test(pair)) found.set("label", pair);
  for (const field of ["after", "before"] as const) {
    const text = search[field];
    if (text !== undefined && Number.isNaN(Date.parse(text))) found.set(field, text);
  }
  return found;
}

/** Leaves out invalid values. */
export function toJobFilter(search: FilterSearch): MessageInitShape<typeof JobFilterSchema> {
  const labels: Record<string, string> = {};
  for (const pair of splitList(search.label)) {
    const at = pair.indexOf("=");
    if (at > 0) labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const time = (text: string | undefined) => {
    const ms = text === undefined ? Number.NaN : Date.parse(text);
    return Number.isNaN(ms) ? undefined : timestampFromDate(new Date(ms));
  };
  const [after, before] = [time(search.after), time(search.before)];
  return {
    queues: splitList(search.queue),
    kinds: splitList(search.kind),
    states: splitList(search.state).flatMap((name) => parseState(name) ?? []),
    labels,
    ...(after && { createdAfter: after }),
    ...(before && { createdBefore: before }),
  };
}

// A filter of jobs, in its form in URLs and as a message.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { JobFilterSchema } from "../gen/sentinel/jobs/v1/job_service_pb";
import { parseLabels, parseList } from "./filter-text";
import { parseState } from "./states";

/** Lists and labels have the form of `filter-text.ts`, and times are ISO 8601. */
export interface FilterSearch {
  state?: string;
  queue?: string;
  kind?: string;
  label?: string;
  after?: string;
  before?: string;
}

const FIELDS = ["state", "queue", "kind", "label", "after", "before"] as const;

/** The query string of a URL has the texts as they are. The parser of the router would read a
 * name such as 1e5 as a number, and true as no name at all. */
export const parseSearch = (query: string): Record<string, string> =>
  Object.fromEntries(new URLSearchParams(query));

export function printSearch(search: Record<string, unknown>): string {
  const texts = Object.entries(search).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(texts.map(([name, value]) => [name, String(value)])).toString();
  return query === "" ? "" : `?${query}`;
}

export function parseFilter(search: Record<string, unknown>): FilterSearch {
  const found: FilterSearch = {};
  for (const field of FIELDS) {
    const text = search[field];
    if (typeof text === "string" && text.trim() !== "") found[field] = text;
  }
  return found;
}

export function isEmptyFilter(search: FilterSearch): boolean {
  return FIELDS.every((field) => search[field] === undefined);
}

/** Returns the fields with an invalid value, and that value. */
export function filterErrors(search: FilterSearch): Map<keyof FilterSearch, string> {
  const found = new Map<keyof FilterSearch, string>();
  for (const field of ["state", "queue", "kind", "label"] as const) {
    const { invalid } = field === "label" ? parseLabels(search.label) : parseList(search[field]);
    if (invalid !== undefined) found.set(field, invalid);
  }
  for (const name of parseList(search.state).values)
    if (!parseState(name)) found.set("state", name);
  for (const field of ["after", "before"] as const) {
    const text = search[field];
    if (text !== undefined && Number.isNaN(Date.parse(text))) found.set(field, text);
  }
  return found;
}

/** Leaves out invalid values. */
export function toJobFilter(search: FilterSearch): MessageInitShape<typeof JobFilterSchema> {
  const time = (text: string | undefined) => {
    const ms = text === undefined ? Number.NaN : Date.parse(text);
    return Number.isNaN(ms) ? undefined : timestampFromDate(new Date(ms));
  };
  const [after, before] = [time(search.after), time(search.before)];
  return {
    queues: parseList(search.queue).values,
    kinds: parseList(search.kind).values,
    states: parseList(search.state).values.flatMap((name) => parseState(name) ?? []),
    labels: Object.fromEntries(parseLabels(search.label).values),
    ...(after && { createdAfter: after }),
    ...(before && { createdBefore: before }),
  };
}

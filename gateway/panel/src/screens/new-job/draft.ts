// The values of the form for a new job, and their conversion to a message.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Job, JobSpec, JobSpecSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import { durationText, parseDuration, toDuration } from "../../ui/durations";
import { parseLabels, printLabels } from "../../ui/filter-text";
import { decodeUtf8, formatJson } from "../../ui/json";

export interface Draft {
  queue: string;
  kind: string;
  payload: string;
  priority: string;
  when: "now" | "delay" | "at";
  delay: string;
  at: string;
  attempts: string;
  timeout: string;
  labels: string;
  unique: string;
  /** The copied job. Its fields that the form does not show are copied unchanged. */
  base?: JobSpec;
  /** A payload that is not text. It is copied unchanged. */
  binary?: Uint8Array;
}

export function emptyDraft(queue: string, kind: string): Draft {
  return {
    queue,
    kind,
    payload: "",
    priority: "0",
    when: "now",
    delay: "",
    at: "",
    attempts: "3",
    timeout: "",
    labels: "",
    unique: "",
  };
}

/** Copies a job, except for its start time and its unique key. */
export function draftFromJob({ spec }: Job): Draft {
  if (!spec) return emptyDraft("", "");
  const text = decodeUtf8(spec.payload);
  const payload = text ?? "";
  const labels = Object.entries(spec.labels).filter(([key]) => !key.startsWith("payload."));
  return {
    ...emptyDraft(spec.queue, spec.kind),
    base: spec,
    ...(text === undefined && { binary: spec.payload }),
    payload: formatJson(payload) ?? payload,
    priority: String(spec.priority),
    attempts: String(spec.retry?.maxAttempts || 3),
    timeout: durationText(spec.runTimeout),
    labels: printLabels(labels, "\n"),
  };
}

export type DraftField = Exclude<keyof Draft, "base" | "binary">;

export type DraftError = "duration" | "label" | "required" | "integer" | "range";

const DURATION_MAX_MS = 366 * 8.64e7;

/** Returns whether the payload must be JSON. Only a copied job can have another content type. */
export function isJson({ base }: Draft): boolean {
  return base === undefined || base.contentType === "" || base.contentType.includes("json");
}

function numberError(text: string, min: number, max: number): DraftError | undefined {
  if (!/^\d+$/.test(text.trim())) return "integer";
  return Number(text) < min || Number(text) > max ? "range" : undefined;
}

function durationError(text: string): DraftError | undefined {
  const ms = parseDuration(text);
  if (ms === undefined) return "duration";
  return ms > DURATION_MAX_MS ? "range" : undefined;
}

/** Validates in the browser what does not need the server. The server validates everything. */
export function draftErrors(draft: Draft): Map<DraftField, DraftError> {
  const found = new Map<DraftField, DraftError>();
  const add = (name: DraftField, error: DraftError | undefined) => error && found.set(name, error);
  for (const name of ["queue", "kind"] as const)
    if (draft[name].trim() === "") found.set(name, "required");
  add("priority", numberError(draft.priority, 0, 9));
  add("attempts", numberError(draft.attempts, 1, 1000));
  if (draft.when === "delay") add("delay", durationError(draft.delay));
  if (draft.when === "at" && draft.at === "") found.set("at", "required");
  if (draft.timeout !== "") add("timeout", durationError(draft.timeout));
  if (parseLabels(draft.labels, "\n").invalid !== undefined) found.set("labels", "label");
  return found;
}

export function toJobSpec(draft: Draft): MessageInitShape<typeof JobSpecSchema> {
  const [delay, timeout] = [parseDuration(draft.delay), parseDuration(draft.timeout)];
  const { base } = draft;
  return {
    ...(base && {
      contentType: base.contentType,
      dependsOn: base.dependsOn,
      onDependencyFailure: base.onDependencyFailure,
      onLost: base.onLost,
      ack: base.ack,
      ...(base.cancelGrace && { cancelGrace: base.cancelGrace }),
    }),
    queue: draft.queue.trim(),
    kind: draft.kind.trim(),
    payload: draft.binary ?? new TextEncoder().encode(draft.payload),
    priority: Number(draft.priority),
    labels: Object.fromEntries(parseLabels(draft.labels, "\n").values),
    retry: { ...base?.retry, maxAttempts: Number(draft.attempts) },
    ...(draft.when === "delay" && delay !== undefined && { delay: toDuration(delay) }),
    ...(draft.when === "at" && { runAt: timestampFromDate(new Date(draft.at)) }),
    ...(timeout !== undefined && { runTimeout: toDuration(timeout) }),
    ...(draft.unique !== "" && { unique: { key: draft.unique } }),
  };
}

/** Returns the field of the form for the path of a field in an error of the server. */
export function draftField(path: string): DraftField | undefined {
  const names: Record<string, DraftField> = {
    queue: "queue",
    kind: "kind",
    payload: "payload",
    content_type: "payload",
    priority: "priority",
    delay: "delay",
    run_at: "at",
    retry: "attempts",
    run_timeout: "timeout",
    labels: "labels",
    unique: "unique",
  };
  return names[/^(?:spec\.)?([a-z_]+)/.exec(path)?.[1] ?? ""];
}

// A job as it stands in the form, and the message that it becomes.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Job, JobSpec, JobSpecSchema } from "../../gen/sentinel/jobs/v1/job_pb";
import { prettyJson, textOfBytes } from "../../ui/json";
import { durationOf, millisIn, textOfSpan } from "../../ui/spans";

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
  /** Of the job that is copied: what the form does not show goes with the copy as it is. */
  base?: JobSpec;
  /** A payload that is no text can not be changed here. */
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

/** All that a copy can have: its time and its key were for the one job. */
export function draftOf({ spec }: Job): Draft {
  if (!spec) return emptyDraft("", "");
  const text = textOfBytes(spec.payload);
  const payload = text ?? "";
  const labels = Object.entries(spec.labels).filter(([key]) => !key.startsWith("payload."));
  return {
    ...emptyDraft(spec.queue, spec.kind),
    base: spec,
    ...(text === undefined && { binary: spec.payload }),
    payload: prettyJson(payload) ?? payload,
    priority: String(spec.priority),
    attempts: String(spec.retry?.maxAttempts || 3),
    timeout: textOfSpan(spec.runTimeout),
    labels: labels.map(([key, value]) => `${key}=${value}`).join("\n"),
  };
}

export type FieldName = Exclude<keyof Draft, "base" | "binary">;

export type DraftMistake = "delay" | "label" | "required" | "integer" | "range";

const SPAN_MAX_MS = 366 * 8.64e7;

/** Whether the payload is to be JSON, as it is unless a copied job says otherwise. */
export function isJson({ base }: Draft): boolean {
  return base === undefined || base.contentType === "" || base.contentType.includes("json");
}

function mistakeInNumber(text: string, min: number, max: number): DraftMistake | undefined {
  if (!/^\d+$/.test(text.trim())) return "integer";
  return Number(text) < min || Number(text) > max ? "range" : undefined;
}

function mistakeInSpan(text: string): DraftMistake | undefined {
  const ms = millisIn(text);
  if (ms === undefined) return "delay";
  return ms > SPAN_MAX_MS ? "range" : undefined;
}

/** What the page can see by itself; the server looks at everything again. */
export function mistakesInDraft(draft: Draft): Map<FieldName, DraftMistake> {
  const found = new Map<FieldName, DraftMistake>();
  const note = (name: FieldName, mistake: DraftMistake | undefined) =>
    mistake && found.set(name, mistake);
  for (const name of ["queue", "kind"] as const)
    if (draft[name].trim() === "") found.set(name, "required");
  note("priority", mistakeInNumber(draft.priority, 0, 9));
  note("attempts", mistakeInNumber(draft.attempts, 1, 1000));
  if (draft.when === "delay") note("delay", mistakeInSpan(draft.delay));
  if (draft.when === "at" && draft.at === "") found.set("at", "required");
  if (draft.timeout !== "") note("timeout", mistakeInSpan(draft.timeout));
  if (linesOf(draft.labels).some((line) => line.indexOf("=") < 1)) found.set("labels", "label");
  return found;
}

const linesOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");

export function specOf(draft: Draft): MessageInitShape<typeof JobSpecSchema> {
  const pairs = linesOf(draft.labels).map((line): [string, string] => {
    const at = line.indexOf("=");
    return [line.slice(0, at), line.slice(at + 1)];
  });
  const [delay, timeout] = [millisIn(draft.delay), millisIn(draft.timeout)];
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
    labels: Object.fromEntries(pairs),
    retry: { ...base?.retry, maxAttempts: Number(draft.attempts) },
    ...(draft.when === "delay" && delay !== undefined && { delay: durationOf(delay) }),
    ...(draft.when === "at" && { runAt: timestampFromDate(new Date(draft.at)) }),
    ...(timeout !== undefined && { runTimeout: durationOf(timeout) }),
    ...(draft.unique !== "" && { unique: { key: draft.unique } }),
  };
}

/** Where in the form the server's field is. */
export function fieldOf(path: string): FieldName | undefined {
  const names: Record<string, FieldName> = {
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

/** Changes of a job before its first start. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { InvalidArgumentError } from "./errors.js";
import { type NewJob, toJobSpec } from "./new-job.js";
import type { UpdateRequestSchema } from "./proto.js";

/** The fields to change. `null` sets the default: a job without `runAt` is due at once. */
export interface JobChanges {
  readonly priority?: number | null;
  /** The earliest start time. */
  readonly runAt?: Date | null;
  /** Replaces all labels. */
  readonly labels?: Readonly<Record<string, string>> | null;
  readonly payload?: unknown;
  readonly contentType?: string | null;
}

const PATHS = {
  priority: "priority",
  runAt: "run_at",
  labels: "labels",
  payload: "payload",
  contentType: "content_type",
} as const;

type UpdateRequest = Exclude<MessageInitShape<typeof UpdateRequestSchema>, { $typeName: string }>;

/** @throws InvalidArgumentError for an unknown field or a value that has no form on the wire. */
export function toUpdateRequest(id: string, changes: JobChanges, version = 0n): UpdateRequest {
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  const unknown = given.find(([field]) => !Object.hasOwn(PATHS, field));
  if (unknown !== undefined) {
    const allowed = Object.keys(PATHS).join(", ");
    throw new InvalidArgumentError(`invalid change ${JSON.stringify(unknown[0])}; allowed are ${allowed}`);
  }
  const paths = given.map(([field]) => PATHS[field as keyof typeof PATHS]);
  // A payload of null is JSON; for other fields it means the default.
  const values = given.filter(([field, value]) => value !== null || field === "payload");
  const spec = toJobSpec({ kind: "", queue: "", ...(Object.fromEntries(values) as Partial<NewJob>) });
  return { id, spec, updateMask: { paths }, version };
}

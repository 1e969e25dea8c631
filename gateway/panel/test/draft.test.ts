// Tests of the form for new jobs: copies of jobs, and validation.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  BackoffKind,
  JobSchema,
  JobSpecSchema,
  LostPolicy,
} from "../src/gen/sentinel/jobs/v1/job_pb";
import {
  draftErrors,
  draftFromJob,
  emptyDraft,
  isJson,
  toJobSpec,
} from "../src/screens/new-job/draft";

const payload = new Uint8Array([0xff, 0xfe, 0]);
const copied = create(JobSchema, {
  spec: {
    queue: "q",
    kind: "k",
    payload,
    contentType: "application/octet-stream",
    onLost: LostPolicy.FAIL,
    retry: { maxAttempts: 5, backoff: BackoffKind.FIXED, base: { seconds: 7n } },
    cancelGrace: { seconds: 3n },
    labels: { a: "b", "payload.id": "7" },
    unique: { key: "once" },
  },
});

test("a copy keeps fields that the form does not show, and a binary payload", () => {
  const draft = draftFromJob(copied);
  assert.equal(isJson(draft), false);
  const spec = create(JobSpecSchema, toJobSpec({ ...draft, attempts: "6" }));
  assert.deepEqual(spec.payload, payload);
  assert.equal(spec.contentType, "application/octet-stream");
  assert.equal(spec.onLost, LostPolicy.FAIL);
  assert.deepEqual(
    [spec.retry?.maxAttempts, spec.retry?.backoff, spec.retry?.base?.seconds],
    [6, BackoffKind.FIXED, 7n],
  );
  assert.equal(spec.cancelGrace?.seconds, 3n);
  // The server derives the other label again, and a unique key is not copied.
  assert.deepEqual([spec.labels, spec.unique], [{ a: "b" }, undefined]);
});

test("invalid numbers and durations are errors of their fields", () => {
  const invalid = {
    ...emptyDraft("q", "k"),
    priority: "1.5",
    attempts: "-2",
    when: "delay" as const,
    delay: "999999d",
    timeout: "x",
  };
  assert.deepEqual([...draftErrors(invalid)].toSorted(), [
    ["attempts", "integer"],
    ["delay", "range"],
    ["priority", "integer"],
    ["timeout", "duration"],
  ]);
  assert.equal(draftErrors({ ...emptyDraft("q", "k"), priority: "10" }).get("priority"), "range");
});

test("a duration is rounded before it is split into seconds and nanos", () => {
  const spec = toJobSpec({ ...emptyDraft("q", "k"), when: "delay", delay: "1.9999999999s" });
  assert.deepEqual(spec.delay, { seconds: 2n, nanos: 0 });
});

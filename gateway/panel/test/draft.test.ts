// A copy of a job is that job but for its time and its key; what can not be sent is told at its field.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  BackoffKind,
  JobSchema,
  JobSpecSchema,
  LostPolicy,
} from "../src/gen/sentinel/jobs/v1/job_pb";
import { draftOf, emptyDraft, isJson, mistakesInDraft, specOf } from "../src/screens/new-job/draft";

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

test("a copy keeps what the form does not show, and bytes that are no text", () => {
  const draft = draftOf(copied);
  assert.equal(isJson(draft), false);
  const spec = create(JobSpecSchema, specOf({ ...draft, attempts: "6" }));
  assert.deepEqual(spec.payload, payload);
  assert.equal(spec.contentType, "application/octet-stream");
  assert.equal(spec.onLost, LostPolicy.FAIL);
  assert.deepEqual(
    [spec.retry?.maxAttempts, spec.retry?.backoff, spec.retry?.base?.seconds],
    [6, BackoffKind.FIXED, 7n],
  );
  assert.equal(spec.cancelGrace?.seconds, 3n);
  // The server adds the other one itself, and the key was for the one job.
  assert.deepEqual([spec.labels, spec.unique], [{ a: "b" }, undefined]);
});

test("numbers that can not be sent are told at their fields", () => {
  const wrong = {
    ...emptyDraft("q", "k"),
    priority: "1.5",
    attempts: "-2",
    when: "delay" as const,
    delay: "999999d",
    timeout: "x",
  };
  assert.deepEqual([...mistakesInDraft(wrong)].toSorted(), [
    ["attempts", "integer"],
    ["delay", "range"],
    ["priority", "integer"],
    ["timeout", "delay"],
  ]);
  assert.equal(
    mistakesInDraft({ ...emptyDraft("q", "k"), priority: "10" }).get("priority"),
    "range",
  );
});

test("a span is rounded as a whole", () => {
  const spec = specOf({ ...emptyDraft("q", "k"), when: "delay", delay: "1.9999999999s" });
  assert.deepEqual(spec.delay, { seconds: 2n, nanos: 0 });
});

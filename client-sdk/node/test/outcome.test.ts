/** What a handler does wrongly at its end is the failure of its attempt, and of nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { ReportItemSchema } from "../src/gen/sentinel/workers/v1/worker_service_pb.js";
import type { Held } from "../src/worker/held.js";
import { failed, HandlerError, Outcome, succeeded } from "../src/worker/outcome.js";
import { reportItem } from "../src/worker/report.js";

const held = { lease: undefined, startedAtMs: undefined } as unknown as Held;

test("a wrong delay is told and can be reported", () => {
  for (const delay of [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300]) {
    for (const ended of [succeeded(Outcome.snooze(delay)), failed(new HandlerError("later", { nextDelayMs: delay }))]) {
      assert.ok(ended.type === "fail" && ended.code === "BAD_OUTCOME" && !ended.retryable);
      assert.match(ended.message, /elayMs of .* is .*; allowed are 0\.\.\d+/);
      assert.ok(toBinary(ReportItemSchema, reportItem(held, ended, false)).length > 0);
    }
  }
  const text = succeeded(Outcome.snooze("5" as unknown as number));
  assert.ok(text.type === "fail" && text.message === "delayMs of Outcome.snooze is of type string; allowed are 0..31622400000 ms");
  assert.equal(succeeded(Outcome.snooze(0)).type, "snooze");
  const pause = failed(new HandlerError("later", { nextDelayMs: 5 }));
  assert.ok(pause.type === "fail" && pause.retryable && pause.nextDelayMs === 5);
});

test("a code that is no text becomes one", () => {
  const ended = failed(new HandlerError("no", { code: 503 as unknown as string }));
  assert.ok(ended.type === "fail" && ended.code === "503");
  assert.ok(toBinary(ReportItemSchema, reportItem(held, ended, false)).length > 0);
});

test("what has no text is told", () => {
  const unnamed = new Error("no");
  Object.assign(unnamed, { message: Symbol("no") });
  for (const thrown of [Object.create(null), unnamed, new HandlerError("no", { code: Object.create(null) as string })]) {
    const ended = failed(thrown);
    assert.ok(ended.type === "fail" && ended.code === "BAD_OUTCOME" && !ended.retryable);
  }
});

test("an end that the wire does not hold is reported as such", () => {
  const fail = { type: "fail", message: "no", code: "", retryable: true, nextDelayMs: undefined } as const;
  const wrong = [
    { ...fail, nextDelayMs: Number.NaN },
    { ...fail, code: 503 as unknown as string },
    { type: "snooze", delayMs: 1e300 } as const,
  ];
  for (const ended of wrong) {
    const item = reportItem(held, ended, false);
    assert.ok(item.outcome.case === "failed" && item.outcome.value.error?.code === "BAD_OUTCOME");
    assert.ok(toBinary(ReportItemSchema, item).length > 0);
  }
});

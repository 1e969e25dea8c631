/** What a handler does wrongly at its end is the failure of its attempt, and of nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { ReportItemSchema } from "../src/gen/sentinel/workers/v1/worker_service_pb.js";
import { wireDuration } from "../src/time.js";
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
  assert.equal(succeeded(Outcome.snooze(0)).type, "snooze");
  const pause = failed(new HandlerError("later", { nextDelayMs: 5 }));
  assert.ok(pause.type === "fail" && pause.retryable && pause.nextDelayMs === 5);
});

test("a code that is no text becomes one", () => {
  const ended = failed(new HandlerError("no", { code: 503 as unknown as string }));
  assert.ok(ended.type === "fail" && ended.code === "503");
  assert.ok(toBinary(ReportItemSchema, reportItem(held, ended, false)).length > 0);
});

test("nanoseconds stay below a second", () => {
  for (const ms of [(0.7 + 0.1) * 10 * 1000, 999.9999999, 1, 0.000_001, 1500]) {
    const { seconds, nanos } = wireDuration(ms);
    assert.ok(nanos >= 0 && nanos < 1e9, `${ms} ms: ${nanos}`);
    assert.ok(Math.abs(Number(seconds) * 1000 + nanos / 1e6 - ms) < 1e-5);
  }
});

/** An invalid outcome of a handler fails its own attempt only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { ReportItemSchema } from "../src/gen/sentinel/workers/v1/worker_service_pb.js";
import type { HeldAttempt } from "../src/worker/held-attempt.js";
import { HandlerError, Outcome, outcomeOfError, outcomeOfResult } from "../src/worker/outcome.js";
import { reportItem } from "../src/worker/report.js";

const held = { lease: undefined, startedAtMs: undefined } as unknown as HeldAttempt;

test("an invalid delay is reported as BAD_OUTCOME", () => {
  for (const delay of [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300]) {
    const handlerError = new HandlerError("later", { nextDelayMs: delay });
    for (const outcome of [outcomeOfResult(Outcome.snooze(delay)), outcomeOfError(handlerError)]) {
      assert.ok(outcome.type === "fail" && outcome.code === "BAD_OUTCOME" && !outcome.retryable);
      assert.match(outcome.message, /elayMs of .* is .*; allowed are 0\.\.\d+/);
      assert.ok(toBinary(ReportItemSchema, reportItem(held, outcome, false)).length > 0);
    }
  }
  const text = outcomeOfResult(Outcome.snooze("5" as unknown as number));
  const message = "delayMs of Outcome.snooze is of type string; allowed are 0..31622400000 ms";
  assert.ok(text.type === "fail" && text.message === message);
  assert.equal(outcomeOfResult(Outcome.snooze(0)).type, "snooze");
  const valid = outcomeOfError(new HandlerError("later", { nextDelayMs: 5 }));
  assert.ok(valid.type === "fail" && valid.retryable && valid.nextDelayMs === 5);
});

test("a code that is not a string is converted to one", () => {
  const outcome = outcomeOfError(new HandlerError("no", { code: 503 as unknown as string }));
  assert.ok(outcome.type === "fail" && outcome.code === "503");
  assert.ok(toBinary(ReportItemSchema, reportItem(held, outcome, false)).length > 0);
});

test("a thrown value without a text is reported as BAD_OUTCOME", () => {
  const symbolMessage = new Error("no");
  Object.assign(symbolMessage, { message: Symbol("no") });
  const objectCode = new HandlerError("no", { code: Object.create(null) as string });
  for (const thrown of [Object.create(null), symbolMessage, objectCode]) {
    const outcome = outcomeOfError(thrown);
    assert.ok(outcome.type === "fail" && outcome.code === "BAD_OUTCOME" && !outcome.retryable);
  }
});

test("an outcome that the protocol cannot express is reported as BAD_OUTCOME", () => {
  const failure = { type: "fail", message: "no", code: "", retryable: true, nextDelayMs: undefined } as const;
  const invalid = [
    { ...failure, nextDelayMs: Number.NaN },
    { ...failure, code: 503 as unknown as string },
    { type: "snooze", delayMs: 1e300 } as const,
  ];
  for (const outcome of invalid) {
    const item = reportItem(held, outcome, false);
    assert.ok(item.outcome.case === "failed" && item.outcome.value.error?.code === "BAD_OUTCOME");
    assert.ok(toBinary(ReportItemSchema, item).length > 0);
  }
});

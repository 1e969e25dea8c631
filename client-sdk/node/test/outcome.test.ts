/** An invalid outcome of a handler fails its own attempt only. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { ReportItemSchema } from "../src/gen/sentinel/workers/v1/worker_service_pb.js";
import type { HeldAttempt } from "../src/worker/held-attempt.js";
import { HandlerError, Outcome, outcomeOf, outcomeOfError, outcomeOfResult } from "../src/worker/outcome.js";
import { reportItem } from "../src/worker/report.js";
import { OUTCOMES, RETURNED, THROWN } from "./hostile-values.js";

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

test("every value that can be thrown is a retryable failure with text", () => {
  for (const [index, make] of THROWN.entries()) {
    const outcome = outcomeOfError(make());
    assert.ok(outcome.type === "fail" && outcome.message !== "", `entry ${index}`);
    const isInvalidDelay = outcome.code === "BAD_OUTCOME";
    assert.equal(outcome.retryable, !isInvalidDelay, `entry ${index}: ${outcome.message}`);
    for (const text of [outcome.message, outcome.detail]) {
      assert.ok(Buffer.byteLength(text) <= 16 * 1024 && text.isWellFormed(), `entry ${index}`);
    }
    // What is sent to the session's thread.
    assert.deepEqual(structuredClone(outcome), outcome);
    assert.ok(toBinary(ReportItemSchema, reportItem(held, outcome, false)).length > 0);
  }
});

test("a result without a JSON form is refused with its path", () => {
  for (const [make, path] of RETURNED) {
    const outcome = outcomeOfResult(make());
    assert.ok(outcome.type === "fail" && outcome.code === "BAD_RESULT" && !outcome.retryable, path);
    assert.ok(outcome.message.startsWith(path), `${outcome.message} starts with ${path}`);
    assert.ok(outcome.message.length < 1_000);
  }
  for (const make of OUTCOMES) {
    const outcome = outcomeOfResult(make());
    assert.ok(outcome.type === "fail" && outcome.code === "BAD_OUTCOME" && !outcome.retryable);
  }
});

test("an outcome is never rejected", async () => {
  const throwing = () => {
    throw Object.create(null);
  };
  // biome-ignore lint/suspicious/noThenProperty: a handler can return any thenable
  const thenable = Object.defineProperty({}, "then", { get: throwing });
  for (const handler of [() => thenable, () => Promise.reject(undefined), () => new Promise((_, no) => no(Symbol()))]) {
    assert.equal((await outcomeOf(handler)).outcome.type, "fail");
  }
});

test("the detail has the stacks of the error and its causes", () => {
  function innermostFrame(): never {
    throw new TypeError("low");
  }
  let thrown: unknown;
  try {
    innermostFrame();
  } catch (cause) {
    thrown = new Error("high", { cause });
  }
  const { message, detail } = outcomeOfError(thrown);
  assert.equal(message, "high: low");
  assert.match(detail, /^Error: high\n[\s\S]*\nCaused by: TypeError: low\n {4}at innermostFrame/);
  const long = outcomeOfError(new Error("x".repeat(1024 * 1024)));
  assert.match(long.detail, /\n {4}at .*outcome\.test/);
});

test("values are encoded as JSON.stringify does, unless it loses data", () => {
  const random = seeded(7);
  for (let n = 0; n < 2_000; n += 1) {
    const value = randomJson(random, 0);
    const outcome = outcomeOfResult({ value });
    assert.ok(outcome.type === "succeed");
    assert.equal(new TextDecoder().decode(outcome.result), JSON.stringify({ value }), `seed 7, value ${n}`);
  }
  const bytes = [new Uint8Array([1, 2]), new Uint8Array([1, 2]).buffer, new DataView(new Uint8Array([1, 2]).buffer)];
  for (const value of [...bytes, new Uint16Array([513]), Buffer.from([1, 2])]) {
    const outcome = outcomeOfResult(value);
    assert.ok(outcome.type === "succeed");
    assert.deepEqual([...outcome.result], [1, 2]);
  }
});

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** A value of each kind that JSON has, and of those that `JSON.stringify` converts without loss. */
function randomJson(random: () => number, depth: number): unknown {
  const leaves = [
    null,
    true,
    -0,
    1e300,
    5e-324,
    random(),
    "",
    '\u2028\ud800\0"',
    new Date(0),
    Object(5),
    new URL("http://x"),
  ];
  const kind = Math.floor(random() * (depth > 3 ? 11 : 14));
  if (kind < 11) return leaves[kind];
  const items = Array.from({ length: Math.floor(random() * 4) }, () => randomJson(random, depth + 1));
  if (kind === 11) return items;
  const members = Object.fromEntries(items.map((item, index) => [`${index % 2 ? "a b" : "k"}${index}`, item]));
  return kind === 12 ? { ...members, unset: undefined } : Object.assign(Object.create(null), members);
}

test("an outcome that the protocol cannot express is reported as BAD_OUTCOME", () => {
  const failure = {
    type: "fail",
    message: "no",
    code: "",
    retryable: true,
    nextDelayMs: undefined,
    detail: "",
  } as const;
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

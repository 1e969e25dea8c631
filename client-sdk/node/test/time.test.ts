/** Times that the wire does not hold are refused before they are sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../src/index.js";
import { type NewJob, specOf } from "../src/new-job.js";
import { wireDuration } from "../src/time.js";

const refusal = (options: Partial<NewJob>, message: string) => {
  const isTold = (error: unknown) => error instanceof InvalidArgumentError && error.message === message;
  assert.throws(() => specOf({ kind: "echo", ...options }), isTold, message);
};

test("nanoseconds stay below a second", () => {
  for (const ms of [(0.7 + 0.1) * 10 * 1000, 999.9999999, 1, 0.000_001, 1500]) {
    const { seconds, nanos } = wireDuration("delayMs", ms);
    assert.ok(nanos >= 0 && nanos < 1e9, `${ms} ms: ${nanos}`);
    assert.ok(Math.abs(Number(seconds) * 1000 + nanos / 1e6 - ms) < 1e-5);
  }
});

test("a duration that is negative or not finite is refused by name", () => {
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300]) {
    const told = `${ms} ms; allowed are 0..315576000000000`;
    refusal({ delayMs: ms }, `invalid delayMs: ${told}`);
    refusal({ runTimeoutMs: ms }, `invalid runTimeoutMs: ${told}`);
    refusal({ cancelGraceMs: ms }, `invalid cancelGraceMs: ${told}`);
    refusal({ retry: { baseMs: ms } }, `invalid retry.baseMs: ${told}`);
    refusal({ retry: { capMs: ms } }, `invalid retry.capMs: ${told}`);
    refusal({ unique: { key: "k", ttlMs: ms } }, `invalid unique.ttlMs: ${told}`);
  }
});

test("a date that is none is refused by name", () => {
  const told = "NaN ms; allowed are -62135596800000..253402300799999";
  refusal({ runAt: new Date("soon") }, `invalid runAt: ${told}`);
  refusal({ startDeadline: new Date("soon") }, `invalid startDeadline: ${told}`);
});

/** Times outside the range of the wire are rejected before they are sent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { InvalidArgumentError } from "../src/index.js";
import { type NewJob, toJobSpec } from "../src/new-job.js";
import { wireDuration } from "../src/time.js";

const assertRejected = (options: Partial<NewJob>, message: string) => {
  const hasMessage = (error: unknown) => error instanceof InvalidArgumentError && error.message === message;
  assert.throws(() => toJobSpec({ kind: "echo", ...options }), hasMessage, message);
};

test("nanoseconds are below one second", () => {
  for (const ms of [(0.7 + 0.1) * 10 * 1000, 999.9999999, 1, 0.000_001, 1500]) {
    const { seconds, nanos } = wireDuration("delayMs", ms);
    assert.ok(nanos >= 0 && nanos < 1e9, `${ms} ms: ${nanos}`);
    assert.ok(Math.abs(Number(seconds) * 1000 + nanos / 1e6 - ms) < 1e-5);
  }
});

test("a negative or infinite duration is rejected with the name of its field", () => {
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, -1, 1e300]) {
    const range = `${ms} ms; allowed are 0..315576000000000`;
    assertRejected({ delayMs: ms }, `invalid delayMs: ${range}`);
    assertRejected({ runTimeoutMs: ms }, `invalid runTimeoutMs: ${range}`);
    assertRejected({ cancelGraceMs: ms }, `invalid cancelGraceMs: ${range}`);
    assertRejected({ retry: { baseMs: ms } }, `invalid retry.baseMs: ${range}`);
    assertRejected({ retry: { capMs: ms } }, `invalid retry.capMs: ${range}`);
    assertRejected({ unique: { key: "k", ttlMs: ms } }, `invalid unique.ttlMs: ${range}`);
  }
});

test("an invalid date is rejected with the name of its field", () => {
  const range = "NaN ms; allowed are -62135596800000..253402300799999";
  assertRejected({ runAt: new Date("soon") }, `invalid runAt: ${range}`);
  assertRejected({ startDeadline: new Date("soon") }, `invalid startDeadline: ${range}`);
});

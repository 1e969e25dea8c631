/** When a call is tried again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, Code, TransportError } from "../src/index.js";
import { Budget, Tries } from "../src/tries.js";

const gone = new TransportError("gone");
const busy = (retryAfterMs: number) => new ApiError("busy", Code.Unavailable, "OVERLOADED", {}, [], retryAfterMs);

test("pauses grow, are drawn at random, and end with the tries", () => {
  const tries = new Tries(new Budget(), 60_000);
  const pauses = [0, 0, 0, 0].map(() => tries.failed(gone, 0, 1));
  assert.deepEqual(pauses, [100, 200, 400, undefined]);
  assert.equal(new Tries(new Budget(), 60_000).failed(gone, 0, 0.5), 50);
});

test("the server may ask for a longer pause, as far as the deadline goes", () => {
  assert.equal(new Tries(new Budget(), 60_000).failed(busy(5_000), 0, 0), 5_000);
  assert.equal(new Tries(new Budget(), 60_000).failed(busy(5_000), 56_000, 0), undefined);
});

test("a refusal is not repeated", () => {
  const refused = new ApiError("no", Code.InvalidArgument, "INVALID_FIELD", {}, [], undefined);
  assert.equal(new Tries(new Budget(), 60_000).failed(refused, 0, 0), undefined);
});

test("after 50 failures nothing is repeated until enough is answered", () => {
  const budget = new Budget();
  const isRepeated = () => new Tries(budget, 60_000).failed(gone, 0, 0) !== undefined;
  let repeats = 0;
  while (isRepeated()) repeats += 1;
  assert.equal(repeats, 49);
  for (let n = 0; n < 20; n += 1) budget.answered();
  assert.equal(isRepeated(), true);
  assert.equal(isRepeated(), false);
});

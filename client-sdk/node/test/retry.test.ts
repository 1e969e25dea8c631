/** When calls are retried. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, CallTimeoutError, Code, TransportError } from "../src/index.js";
import { CallRetry, RetryBudget } from "../src/retry.js";

const transportError = new TransportError("connection lost");
const overloaded = (retryAfterMs: number, code = Code.Unavailable) =>
  new ApiError("overloaded", code, "OVERLOADED", {}, [], retryAfterMs);

test("delays double with jitter up to a limit, until the deadline", () => {
  const retry = new CallRetry(60_000);
  const delays = Array.from({ length: 7 }, () => retry.nextDelayMs(transportError, 0, 1));
  assert.deepEqual(delays, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
  assert.equal(new CallRetry(60_000).nextDelayMs(transportError, 0, 0.5), 50);
  assert.equal(retry.nextDelayMs(transportError, 59_000, 1), undefined);
});

test("a delay that the server requests is honoured within the deadline", () => {
  for (const code of [Code.Unavailable, Code.ResourceExhausted]) {
    assert.equal(new CallRetry(60_000).nextDelayMs(overloaded(5_000, code), 0, 0), 5_000);
    assert.equal(new CallRetry(60_000).nextDelayMs(overloaded(5_000, code), 56_000, 0), undefined);
  }
});

test("a call without a response is retried, an answered one is not", () => {
  const error = (code: Code) => new ApiError("no", code, "", {}, [], undefined);
  const isRetried = (cause: TransportError | ApiError) => new CallRetry(1_000).nextDelayMs(cause, 0, 0) !== undefined;
  assert.ok(isRetried(new CallTimeoutError("late")) && isRetried(error(Code.Unavailable)));
  const codes = Object.values(Code).filter((code) => typeof code === "number" && code !== Code.Unavailable);
  for (const code of codes) assert.equal(isRetried(error(code as Code)), false, Code[code as Code]);
});

test("the budget limits the rate of retries; waiting calls follow responses and time", async () => {
  let nowMs = 0;
  const budget = new RetryBudget(() => nowMs);
  const stop = new AbortController();
  let granted = 0;
  const retries = Array.from({ length: 300 }, () =>
    budget.acquire(stop.signal).then(() => {
      granted += 1;
    }),
  );
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  await settled();
  assert.equal(granted, 100);
  for (let n = 0; n < 50; n += 1) budget.recordResponse();
  await settled();
  assert.equal(granted, 150);
  // One second later; the next retry that is requested looks at the time.
  nowMs = 1_000;
  retries.push(budget.acquire(stop.signal));
  await settled();
  assert.equal(granted, 170);
  stop.abort();
  await Promise.all(retries);
});

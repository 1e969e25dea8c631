/** When calls are retried. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, Code, TransportError } from "../src/index.js";
import { CallRetry, RetryThrottle } from "../src/retry.js";

const transportError = new TransportError("connection lost");
const overloaded = (retryAfterMs: number) =>
  new ApiError("overloaded", Code.Unavailable, "OVERLOADED", {}, [], retryAfterMs);

test("delays double with jitter until the last RPC attempt", () => {
  const retry = new CallRetry(new RetryThrottle(), 60_000);
  const delays = [0, 0, 0, 0].map(() => retry.nextDelayMs(transportError, 0, 1));
  assert.deepEqual(delays, [100, 200, 400, undefined]);
  assert.equal(new CallRetry(new RetryThrottle(), 60_000).nextDelayMs(transportError, 0, 0.5), 50);
});

test("retryAfter is honoured within the deadline", () => {
  assert.equal(new CallRetry(new RetryThrottle(), 60_000).nextDelayMs(overloaded(5_000), 0, 0), 5_000);
  assert.equal(new CallRetry(new RetryThrottle(), 60_000).nextDelayMs(overloaded(5_000), 56_000, 0), undefined);
});

test("other errors are not retried", () => {
  const invalid = new ApiError("invalid", Code.InvalidArgument, "INVALID_FIELD", {}, [], undefined);
  assert.equal(new CallRetry(new RetryThrottle(), 60_000).nextDelayMs(invalid, 0, 0), undefined);
});

test("responses refill an exhausted throttle", () => {
  const throttle = new RetryThrottle();
  const isRetried = () => new CallRetry(throttle, 60_000).nextDelayMs(transportError, 0, 0) !== undefined;
  let retries = 0;
  while (isRetried()) retries += 1;
  assert.equal(retries, 49);
  for (let n = 0; n < 20; n += 1) throttle.recordResponse();
  assert.equal(isRetried(), true);
  assert.equal(isRetried(), false);
});

/** Many calls on one AbortSignal add one listener. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { linkedController, onAbort } from "../src/abort.js";
import { sleep } from "../src/backoff.js";

test("a signal has one listener for any number of waits, and none after them", async () => {
  const stop = new AbortController();
  const waits = Array.from({ length: 40 }, () => sleep(60_000, stop.signal));
  const { controller } = linkedController(stop.signal);
  assert.equal(getEventListeners(stop.signal, "abort").length, 1);
  stop.abort(new Error("enough"));
  await Promise.all(waits);
  assert.equal((controller.signal.reason as Error).message, "enough");
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
});

test("a cancelled callback is not called, and the last one removes the listener", () => {
  const stop = new AbortController();
  const calls: number[] = [];
  const first = onAbort(stop.signal, () => calls.push(1));
  const second = onAbort(stop.signal, () => calls.push(2));
  first();
  assert.equal(getEventListeners(stop.signal, "abort").length, 1);
  second();
  second();
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
  onAbort(stop.signal, () => calls.push(3));
  stop.abort();
  onAbort(stop.signal, () => calls.push(4));
  assert.deepEqual(calls, [3, 4]);
});

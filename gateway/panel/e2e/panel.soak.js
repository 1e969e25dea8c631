// Soak test of the memory of an open panel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startFixture } from "./fixture.js";
import { startLoad } from "./load.js";
import { heapBytes } from "./measure.js";

const MINUTES = Number(process.env.SENTINEL_SOAK_MINUTES ?? 10);
const EVENTS_PER_SECOND = 200;
const GROWTH_MAX = 0.05;

/** The time until the panel keeps its maximum number of jobs. */
const WARM_UP_MINUTES = Math.max(5, MINUTES / 6);
const MEASURED_MINUTES = (MINUTES * 5) / 6;

test("panel::soak_memory_does_not_grow", {
  timeout: (WARM_UP_MINUTES + MINUTES + 5) * 60_000,
}, async (t) => {
  const fixture = await startFixture({ worker: ["--concurrency", "200"] });
  const page = await fixture.open("/");
  const load = startLoad(fixture, EVENTS_PER_SECOND);
  /** Returns the minimum heap of the last minutes. Single values vary by a megabyte. */
  const minimumHeapAfter = async (minutes) => {
    const sizes = [];
    for (let left = minutes; left > 0; left -= 1) {
      await waitMinutes(Math.min(1, left));
      sizes.push(await heapBytes(page));
      console.log(`heap ${sizes.at(-1)} bytes`);
    }
    return Math.min(...sizes.slice(-3));
  };
  const before = await minimumHeapAfter(WARM_UP_MINUTES);
  const after = await minimumHeapAfter(MEASURED_MINUTES);
  const rate = await load.stop();
  const growth = after / before - 1;
  const events = Math.round(rate * (WARM_UP_MINUTES + MEASURED_MINUTES) * 60);
  t.diagnostic(`from ${before} to ${after}: ${(growth * 100).toFixed(1)} %`);
  console.log(`soak ${JSON.stringify({ test: "panel", checked: { events } })}`);
  assert.ok(growth < GROWTH_MAX, `the heap grew by ${(growth * 100).toFixed(1)} %`);
});

/** A soak test runs for a fixed time, so this wait has no condition. */
function waitMinutes(count) {
  return new Promise((resolve) => setTimeout(resolve, count * 60_000));
}

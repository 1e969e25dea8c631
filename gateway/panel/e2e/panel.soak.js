// The panel, open for long while jobs come and go, keeps no more than it shows.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.js";
import { heapBytes } from "./measure.js";
import { scene } from "./scene.js";

const MINUTES = Number(process.env.SENTINEL_SOAK_MINUTES ?? 10);
const EVENTS_PER_SECOND = 200;
const GROWTH_MAX = 0.05;

/** Until it has seen as many jobs as it keeps: five minutes of thirty, and never much less. */
const SETTLING_MINUTES = Math.max(5, MINUTES / 6);

test("panel::soak_memory_stays_what_it_was", {
  timeout: (SETTLING_MINUTES + MINUTES + 5) * 60_000,
}, async (t) => {
  const here = await scene({ worker: ["--concurrency", "200"] });
  const page = await here.open("/");
  const busy = load(here, EVENTS_PER_SECOND);
  /** The least of what is looked at in the last minutes: a table that has doubled is a megabyte. */
  const least = async (count) => {
    const sizes = [];
    for (let left = count; left > 0; left -= 1) {
      await minutes(Math.min(1, left));
      sizes.push(await heapBytes(page));
      console.log(`heap ${sizes.at(-1)} bytes`);
    }
    return Math.min(...sizes.slice(-3));
  };
  const settled = await least(SETTLING_MINUTES);
  const end = await least((MINUTES * 5) / 6);
  const rate = await busy.stop();
  const growth = end / settled - 1;
  const report = {
    test: "panel",
    checked: { events: Math.round(rate * (SETTLING_MINUTES + (MINUTES * 5) / 6) * 60) },
  };
  t.diagnostic(`from ${settled} to ${end}: ${(growth * 100).toFixed(1)} %`);
  console.log(`soak ${JSON.stringify(report)}`);
  assert.ok(growth < GROWTH_MAX, `the heap grew by ${(growth * 100).toFixed(1)} %`);
});

/** The duration is SENTINEL_SOAK_MINUTES. */
function minutes(count) {
  return new Promise((resolve) => setTimeout(resolve, count * 60_000));
}

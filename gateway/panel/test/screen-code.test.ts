// Tests of loading the code of a screen, and of failures to do so.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ScreenCode } from "../src/shell/screen-code";
import { property } from "./random";

const Component = () => null;

test("the code is loaded once, also when it is requested twice", async () => {
  let loads = 0;
  const code = new ScreenCode(async () => {
    loads += 1;
    return Component;
  });
  await Promise.all([code.load(), code.load()]);
  await code.load();
  assert.equal(loads, 1);
  assert.deepEqual(code.state(), { status: "loaded", Component });
});

test("after any number of failures the code is loaded, and no load throws", async () => {
  const runs: Promise<void>[] = [];
  property((random, index) => {
    if (index >= 100) return;
    let left = random.below(5);
    const statuses: string[] = [];
    const code = new ScreenCode(() => {
      left -= 1;
      if (left >= 0) throw new TypeError("Failed to fetch dynamically imported module");
      return Promise.resolve(Component);
    });
    code.subscribe(() => statuses.push(code.state().status));
    const failures = left;
    runs.push(
      (async () => {
        for (let attempt = 0; attempt <= failures; attempt += 1) await code.load();
        assert.equal(code.state().status, "loaded");
        // A screen that shows a failure does not flicker.
        assert.deepEqual(statuses, ["loading", ...Array(failures).fill("failed"), "loaded"]);
      })(),
    );
  });
  await Promise.all(runs);
});

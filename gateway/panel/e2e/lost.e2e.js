// The server or the gateway goes away under an open page, and comes back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, inState, scene } from "./scene.js";
import { isMarked, mark } from "./steps.js";

const here = await scene();

/** What the panel says while it has no stream. */
const LOST = /connection lost/i;

test("a page left by navigation is no watcher of the server", async () => {
  const page = await here.open("/");
  await here.world.watchers(1);
  await page.goto("about:blank");
  await here.world.watchers(0);
  await page.context().close();
});

for (const who of ["server", "gateway"]) {
  test(`a lost ${who} is said, and the page goes on with nothing missed`, async () => {
    const { world } = here;
    const id = await enqueue(here, "noop", {}, { delay: { seconds: 3600n } });
    const page = await here.open(`/jobs/${id}`);
    await mark(page);
    await page
      .getByRole("main")
      .getByText(/scheduled/i)
      .first()
      .waitFor();
    await world[who].kill();
    await page.getByRole("status").filter({ hasText: LOST }).first().waitFor();
    await (who === "server" ? world.startServer() : world.startGateway());
    await until("calls work", () => here.jobs.get({ id }));
    // Before the page is back, perhaps: then it is told by its cursor.
    await here.jobs.cancel({ id });
    await page
      .getByRole("main")
      .getByText(/cancelled/i)
      .first()
      .waitFor();
    await page.getByRole("status").filter({ hasText: LOST }).first().waitFor({ state: "hidden" });
    assert.ok(await isMarked(page));
    await page.context().close();
  });
}

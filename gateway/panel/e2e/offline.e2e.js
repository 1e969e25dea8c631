// Tests of screens that are opened while the server is down.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../tests/web/harness/wait.js";
import { startFixture } from "./fixture.js";
import { goTo, isMarked, mark } from "./steps.js";

const SCREENS = [/^queues$/i, /^search$/i, /^workers/i, /^new job$/i, /^audit$/i, /^jobs/i];

const fixture = await startFixture();

const banner = (page) =>
  page
    .getByRole("status")
    .filter({ hasText: /connection lost/i })
    .first();

/** Returns the names of the loaded chunks of screens. */
const chunks = (page) =>
  page.evaluate(() =>
    performance
      .getEntriesByType("resource")
      .map(({ name }) => name.match(/assets\/([a-z-]+)-[^/]*\.js$/)?.[1])
      .filter(Boolean),
  );

test("all screens are loaded while the page is idle, and open without the server", async () => {
  const page = await fixture.open();
  await until("all screens are loaded", async () => {
    const loaded = await chunks(page);
    return ["jobs", "job", "queues", "queue", "search", "workers", "new-job", "audit"].every(
      (name) => loaded.includes(name),
    );
  });
  await mark(page);
  await fixture.env.gateway.kill();
  await banner(page).waitFor();
  for (const name of SCREENS) {
    await goTo(page, name);
    await page.locator('nav [aria-current="page"]').filter({ hasText: name }).waitFor();
    await banner(page).waitFor();
    assert.equal(await page.getByText("This screen could not be loaded").count(), 0);
  }
  assert.ok(await isMarked(page));
  await fixture.env.startGateway();
  await banner(page).waitFor({ state: "hidden" });
  await page.context().close();
});

for (const name of SCREENS.slice(0, 5)) {
  test(`the screen ${name} without its code says why, and opens when the server is back`, async () => {
    // Nothing but the first screen is loaded, as in the first moments of a page.
    const context = await fixture.browser.newContext({ locale: "en-GB" });
    const other = await context.newPage();
    await other.addInitScript(() => {
      window.requestIdleCallback = () => 0;
    });
    await other.goto(fixture.env.url);
    await other.getByRole("heading", { name: "Jobs" }).waitFor();
    await fixture.env.gateway.kill();
    await banner(other).waitFor();
    await goTo(other, name);
    const missing = other.getByRole("alert").filter({ hasText: "could not be loaded" });
    await missing.waitFor();
    await missing.getByText("opens by itself").waitFor();
    await banner(other).waitFor();
    await missing.getByRole("button", { name: "Try again" }).click();
    await missing.waitFor();
    await fixture.env.startGateway();
    await other.getByRole("heading", { level: 1 }).first().waitFor();
    await missing.waitFor({ state: "detached" });
    await banner(other).waitFor({ state: "hidden" });
    await context.close();
  });
}

// Tests of many tabs and pages in one browser, over HTTP/1.1 with its six connections per server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { within } from "../../tests/web/harness/wait.js";
import { enqueue, startFixture } from "./fixture.js";
import { signIn } from "./steps.js";

const TABS = 8;
const HOUR = { seconds: 3600n };

const fixture = await startFixture();

const isLive = (page) => page.locator('.connection[data-status="live"]').waitFor();

test("many tabs are live at the same time, with one stream", async () => {
  const first = await fixture.open();
  const context = first.context();
  const pages = [first];
  for (let count = 1; count < TABS; count += 1) {
    const page = await context.newPage();
    await within(`tab ${count} opens`, page.goto(fixture.env.url));
    pages.push(page);
  }
  await Promise.all(pages.map(isLive));
  await fixture.env.watchers(1);
  // Values arrive in every tab, by the stream and not by a new request of the list.
  const id = await enqueue(fixture, "sleep", { ms: 3_600_000 });
  const row = (page) => page.getByRole("row").filter({ hasText: id.slice(-8) });
  await Promise.all(pages.map((page) => row(page).getByText("Running").waitFor()));
  await fixture.jobs.cancel({ id });
  await Promise.all(pages.map((page) => row(page).getByText("Cancelled").waitFor()));
  await Promise.all(pages.slice(1).map((page) => page.close()));
  await isLive(first);
  await context.close();
  await fixture.env.watchers(0);
});

test("each of many tabs follows its own job", async () => {
  const first = await fixture.open();
  const context = first.context();
  const ids = [];
  for (let count = 0; count < TABS; count += 1)
    ids.push(await enqueue(fixture, "noop", {}, { delay: HOUR }));
  const pages = [];
  for (const id of ids) {
    const page = await context.newPage();
    await page.goto(`${fixture.env.url}/jobs/${id}`);
    await page.locator(".state[data-state=scheduled]").first().waitFor();
    pages.push(page);
  }
  for (const [index, id] of ids.entries()) {
    await fixture.jobs.cancel({ id });
    await pages[index].locator(".state[data-state=cancelled]").first().waitFor();
  }
  await context.close();
});

for (const [name, script] of [
  ["with a shared worker", () => undefined],
  ["without shared workers", () => Reflect.deleteProperty(window, "SharedWorker")],
]) {
  test(`many full page loads, ${name}, leave no stream behind`, async () => {
    const page = await fixture.open();
    await page.addInitScript(script);
    for (let count = 0; count < TABS; count += 1) {
      await page.goto(`${fixture.env.url}/${["", "queues", "workers", "search"][count % 4]}`);
      await isLive(page);
    }
    await fixture.env.watchers(1);
    for (let count = 1; count < TABS; count += 1) await page.goBack();
    await isLive(page);
    await fixture.env.watchers(1);
    assert.equal(
      await page.evaluate(() => "SharedWorker" in window),
      name === "with a shared worker",
    );
    await page.context().close();
    await fixture.env.watchers(0);
  });
}

test("a sign-out in one tab ends the stream of the others", async () => {
  const keyRequired = await startFixture({ requiresKey: true });
  const one = await keyRequired.open();
  await signIn(one, keyRequired.credential);
  await isLive(one);
  const other = await one.context().newPage();
  await other.goto(keyRequired.env.url);
  await isLive(other);
  await one.getByText("More", { exact: true }).click();
  await one.getByRole("button", { name: /^sign out$/i }).click();
  await Promise.all([one, other].map((page) => page.getByLabel(/^api key$/i).waitFor()));
  await signIn(other, keyRequired.credential);
  await Promise.all([one, other].map(isLive));
  await one.context().close();
});

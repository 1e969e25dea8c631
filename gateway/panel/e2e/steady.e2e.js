// Tests that rows and buttons stand still while the user aims at them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { demo, State } from "../../tests/web/harness/api.js";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, inState, startFixture } from "./fixture.js";
import { startLoad } from "./load.js";

const HOUR = { seconds: 3600n };
const ROUNDS = 4;
/** Events per second of demo.noop jobs, three for each. */
const LOAD = 18;

const fixture = await startFixture({ worker: ["--concurrency", "50"] });
const seed = Number(process.env.SENTINEL_SEED ?? Date.now() % 100_000);

/** Returns the name and state of the button at a point, as screen readers announce it. */
const buttonAt = (page, { x, y }) =>
  page.evaluate(
    ([x, y]) => {
      const button = document.elementFromPoint(x, y)?.closest("button");
      return button && `${button.ariaLabel ?? button.textContent} ${button.ariaDisabled}`;
    },
    [x, y],
  );

/** Moves the pointer to the middle of an element and returns that point. */
async function aim(page, element) {
  await element.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await element.boundingBox();
  const point = { x: x + width / 2, y: y + height / 2 };
  await page.mouse.move(point.x, point.y);
  return point;
}

/** Returns how many new rows wait. */
async function waitingCount(page) {
  const button = page.getByRole("button", { name: /^\d+ new$/ });
  return (await button.count()) === 0 ? 0 : Number.parseInt(await button.textContent(), 10);
}

test("a click acts on the job that the pointer was aimed at, while jobs arrive and finish", async (t) => {
  t.diagnostic(`SENTINEL_SEED=${seed}`);
  for (let count = 0; count < 8; count += 1)
    await enqueue(fixture, "noop", {}, { delay: HOUR, labels: { customer: "acme" } });
  const page = await fixture.open();
  const load = startLoad(fixture, LOAD);
  const rows = page.getByRole("table", { name: "Jobs" }).getByRole("row");
  for (let round = 0; round < ROUNDS; round += 1) {
    const scheduled = await enqueue(fixture, "noop", {}, { delay: HOUR });
    await page.mouse.move(1, 1);
    const short = scheduled.slice(-8);
    await rows.filter({ hasText: short }).waitFor();
    // Any row with a button will do. Odd rounds take the newest scheduled job, which moves most.
    const buttons = rows.getByRole("button");
    const index = (seed + round * 7) % (await buttons.count());
    const target =
      round % 2 === 0
        ? buttons.nth(index)
        : rows.filter({ hasText: short }).getByRole("button", { name: /^Cancel/ });
    const point = await aim(page, target);
    const aimed = await buttonAt(page, point);
    assert.match(aimed, /^(Cancel|Retry) demo\.noop [\da-f]{8} /);
    await until("rows wait", async () => (await waitingCount(page)) > 0);
    const before = await waitingCount(page);
    assert.equal(await buttonAt(page, point), aimed);
    await page.mouse.down();
    await until("more rows wait", async () => (await waitingCount(page)) > before);
    assert.equal(await buttonAt(page, point), aimed);
    await page.mouse.up();
    const dialog = page.getByRole("dialog");
    await dialog.getByText(aimed.split(" ")[2]).waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    await dialog.waitFor({ state: "detached" });
  }
  await load.stop();
  const { jobs } = await fixture.jobs.list({ filter: { states: [State.CANCELLED] } });
  assert.equal(jobs.length, 0, "no job is changed without an answer");
  await page.context().close();
});

test("a button does not become another one under the pointer, and values still change", async () => {
  const id = await enqueue(fixture, "sleep", { ms: 3_600_000 });
  await inState(fixture, id, "RUNNING");
  for (const path of ["/", `/jobs/${id}`]) {
    const page = await fixture.open(path);
    const main = page.getByRole("main");
    const row = path === "/" ? main.getByRole("row").filter({ hasText: id.slice(-8) }) : main;
    const point = await aim(page, row.getByRole("button", { name: /^Cancel/ }));
    const aimed = await buttonAt(page, point);
    await fixture.jobs.cancel({ id });
    await row.locator(".state[data-state=cancelled]").first().waitFor();
    const disabled = aimed.replace("false", "true");
    assert.equal(await buttonAt(page, point), disabled);
    assert.equal(await row.getByRole("button", { name: /^Retry/ }).count(), 0);
    await page.mouse.click(point.x, point.y);
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.mouse.move(1, 1);
    await row.getByRole("button", { name: /^Retry/ }).waitFor();
    await page.context().close();
    await fixture.jobs.retry({ id });
    await inState(fixture, id, "RUNNING");
  }
  await fixture.jobs.cancel({ id });
});

test("rows wait while the keyboard focus is in the list, until they are asked for", async () => {
  const page = await fixture.open();
  const rows = page.getByRole("table", { name: "Jobs" }).getByRole("row");
  await rows.nth(1).getByRole("link").focus();
  await page.keyboard.press("Tab");
  const first = await rows.nth(1).textContent();
  const id = await enqueue(fixture, "noop", {}, { delay: HOUR });
  const apply = page.getByRole("button", { name: "1 new" });
  await apply.waitFor();
  assert.equal((await rows.nth(1).textContent()).slice(0, 20), first.slice(0, 20));
  await apply.press("Enter");
  await rows.filter({ hasText: id.slice(-8) }).waitFor();
  await page.context().close();
});

test("workers and queues stand still, too", async () => {
  await fixture.queues.createQueue({ queue: { name: "m" } });
  const page = await fixture.open("/queues");
  const queue = page.getByRole("row").filter({ hasText: /^m/ });
  const point = await aim(page, queue.getByRole("button", { name: "Pause m" }));
  const aimed = await buttonAt(page, point);
  await fixture.jobs.enqueue({ spec: demo("noop", {}, { queue: "a-first", delay: HOUR }) });
  await page.getByRole("button", { name: "1 new" }).waitFor();
  assert.equal(await buttonAt(page, point), aimed);
  await page.mouse.move(1, 1);
  await page.getByRole("row").filter({ hasText: "a-first" }).waitFor();

  await page.goto(`${fixture.env.url}/workers`);
  const worker = page.getByRole("row").filter({ hasText: "web" });
  const place = await aim(page, worker.getByRole("button", { name: "Drain web" }));
  const other = await fixture.env.startWorker(["--instance", "a-first", "--queues", "m"]);
  await page.getByRole("button", { name: "1 new" }).waitFor();
  assert.equal(await buttonAt(page, place), "Drain web false");
  await page.mouse.move(1, 1);
  await page.getByRole("row").filter({ hasText: "a-first" }).waitFor();
  await other.stop();
  await page.context().close();
});

test("a lost connection moves nothing", async () => {
  const id = await enqueue(fixture, "noop", {}, { delay: HOUR });
  const page = await fixture.open();
  const row = page.getByRole("row").filter({ hasText: id.slice(-8) });
  const point = await aim(page, row.getByRole("button", { name: /^Cancel/ }));
  const aimed = await buttonAt(page, point);
  await fixture.env.gateway.kill();
  await page
    .getByRole("status")
    .filter({ hasText: /connection lost/i })
    .first()
    .waitFor();
  assert.equal(await buttonAt(page, point), aimed);
  await fixture.env.startGateway();
  await page.context().close();
});

test("on a touch screen rows wait, buttons do not take the places of others, and values change", async () => {
  const touch = { hasTouch: true, isMobile: true, viewport: { width: 390, height: 844 } };
  const page = await fixture.open("/", touch);
  // The jobs of the tests above: what comes after the first list waits.
  await page.getByRole("row").nth(1).waitFor();
  const id = await enqueue(fixture, "sleep", { ms: 3_600_000 });
  const row = page.getByRole("row").filter({ hasText: id.slice(-8) });
  const apply = page.getByRole("button", { name: /^\d+ new$/ });
  await apply.waitFor();
  assert.equal(await row.count(), 0);
  await apply.tap();
  const cancel = row.getByRole("button", { name: /^Cancel/ });
  const before = await cancel.boundingBox();
  await inState(fixture, id, "RUNNING");
  await fixture.jobs.cancel({ id });
  const retry = row.getByRole("button", { name: /^Retry/ });
  await retry.waitFor();
  assert.equal(await cancel.count(), 0);
  const after = await retry.boundingBox();
  assert.ok(after.x >= before.x + before.width || after.x + after.width <= before.x);
  for (const path of ["/queues", "/workers"]) {
    await page.goto(fixture.env.url + path);
    await page.getByRole("row").getByRole("button").first().waitFor();
    assert.equal(await apply.count(), 0);
  }
  await page.context().close();
});

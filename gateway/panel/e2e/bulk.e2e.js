// Jobs are found, and something is done to all that match after they were counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { demo, State } from "../../tests/web/harness/contract.js";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, enqueueMany, scene } from "./scene.js";
import { goTo } from "./steps.js";

const MATCHING = 430;

const here = await scene();
const later = { delay: { seconds: 3600n } };
await enqueueMany(here, MATCHING, demo("noop", {}, { ...later, queue: "mail" }));
const other = await enqueue(here, "noop", {}, { ...later, queue: "shop" });
const page = await here.open();

const rows = () => page.getByRole("table", { name: "Search" }).getByRole("row");

test("a search is an address, and finds what it says", async () => {
  await goTo(page, "Search");
  const form = page.getByRole("search", { name: "Search" });
  await form.getByLabel("Queues").fill("shop");
  await form.getByLabel("Scheduled").check();
  await form.getByRole("button", { name: "Search" }).click();
  await page.waitForURL(/queue=shop/);
  // The head, and the one.
  await until("one row is shown", async () => (await rows().count()) === 2);
  await rows().nth(1).getByRole("link", { name: "demo.noop" }).click();
  await page.waitForURL(new RegExp(`/jobs/${other}$`));
  await page.goBack();
  await until("the search is there again", async () => (await rows().count()) === 2);
});

test("bad input in an address is said, and nothing is done without it", async () => {
  await page.goto(`${here.world.url}/search?label=nonsense&queue=shop`);
  await page.getByText("must be key=value").waitFor();
  await page.getByRole("alert").filter({ hasText: "mistaken" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Delete many jobs" }).count(), 0);
  assert.equal(await rows().count(), 0);
});

test("all that match are counted, and cancelled only then", async () => {
  await page.goto(`${here.world.url}/search?queue=mail`);
  await until("rows are shown", async () => (await rows().count()) > 5);
  await page.getByRole("button", { name: "Cancel many jobs" }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel many jobs" });
  await dialog
    .getByText(new RegExp(`To be cancelled, of what has not ended: ${MATCHING} jobs`))
    .waitFor();
  assert.equal(await cancelled(), 0);
  await dialog.getByRole("button", { name: "Cancel them" }).click();
  await dialog.getByText("Done.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  assert.equal(await cancelled(), MATCHING);
  const { job } = await here.jobs.get({ id: other });
  assert.equal(job.state, State.SCHEDULED);
});

async function cancelled() {
  const { queues } = await here.jobs.counts({ queues: ["mail"] });
  return Number(queues[0]?.states.find(({ state }) => state === State.CANCELLED)?.count ?? 0);
}

test("rows that were chosen one by one are deleted, and no others", async () => {
  await page.goto(`${here.world.url}/search?queue=mail`);
  await until("rows are shown", async () => (await rows().count()) > 5);
  const before = await cancelled();
  for (const row of [1, 3]) await rows().nth(row).getByRole("checkbox").check();
  const chosen = page.getByRole("group", { name: "2 selected" });
  await chosen.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText(/Delete: 2 jobs/).waitFor();
  await until("two are gone", async () => (await cancelled()) === before - 2);
});

test("without a filter nothing is done to all jobs of the server", async () => {
  await page.goto(`${here.world.url}/search`);
  await page.getByRole("button", { name: "Delete many jobs" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete many jobs" });
  await dialog.getByText(/Choose a queue/).waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Delete them" }).count(), 0);
});

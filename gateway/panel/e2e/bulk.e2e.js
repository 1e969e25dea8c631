// Tests of the search, and of actions on selected and on all matching jobs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { demo, State } from "../../tests/web/harness/api.js";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, enqueueMany, inState, startFixture } from "./fixture.js";
import { goTo } from "./steps.js";

const MATCHING = 430;

const fixture = await startFixture();
const later = { delay: { seconds: 3600n } };
await enqueueMany(fixture, MATCHING, demo("noop", {}, { ...later, queue: "mail" }));
const other = await enqueue(fixture, "noop", {}, { ...later, queue: "shop" });
const page = await fixture.open();

const rows = () => page.getByRole("table", { name: "Search" }).getByRole("row");

test("a search is in the URL and shows the matching jobs", async () => {
  await goTo(page, "Search");
  const form = page.getByRole("search", { name: "Search" });
  await form.getByLabel("Queues").fill("shop");
  await form.getByLabel("Scheduled").check();
  await form.getByRole("button", { name: "Search" }).click();
  await page.waitForURL(/queue=shop/);
  // The header and one result.
  await until("one job is shown", async () => (await rows().count()) === 2);
  await rows().nth(1).getByRole("link", { name: "demo.noop" }).click();
  await page.waitForURL(new RegExp(`/jobs/${other}$`));
  await page.goBack();
  await until("the search is shown again", async () => (await rows().count()) === 2);
});

test("an invalid filter in the URL is reported, and no action is offered", async () => {
  await page.goto(`${fixture.env.url}/search?label=nonsense&queue=shop`);
  await page.getByText("must be key=value").waitFor();
  await page.getByRole("alert").filter({ hasText: "Fix the filter first" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "Delete jobs" }).count(), 0);
  assert.equal(await rows().count(), 0);
});

test("a bulk action counts the matching jobs, and changes them after confirmation", async () => {
  await page.goto(`${fixture.env.url}/search?queue=mail`);
  await until("results are shown", async () => (await rows().count()) > 5);
  await page.getByRole("button", { name: "Cancel jobs" }).click();
  const dialog = page.getByRole("dialog", { name: "Cancel jobs" });
  await dialog.getByText(new RegExp(`This cancels ${MATCHING} jobs`)).waitFor();
  assert.equal(await cancelled(), 0);
  await dialog.getByRole("button", { name: "Cancel jobs" }).click();
  await dialog.getByText("Done.").waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  assert.equal(await cancelled(), MATCHING);
  const { job } = await fixture.jobs.get({ id: other });
  assert.equal(job.state, State.SCHEDULED);
});

/** Jobs of the queue default, by their state. */
const retried = {};
const runs = async () => {
  const jobs = Object.values(retried).map((id) => fixture.jobs.get({ id }));
  return (await Promise.all(jobs)).map(({ job }) => job.run);
};

test("a bulk retry starts with failed jobs only, and its dialog restates the filter and the counts", async () => {
  const noRetry = { retry: { maxAttempts: 1 }, labels: { city: "Paris, France" } };
  Object.assign(retried, {
    failed: await enqueue(fixture, "fail", {}, noRetry),
    succeeded: await enqueue(fixture, "noop", {}, noRetry),
    cancelled: await enqueue(fixture, "noop", {}, { ...noRetry, ...later }),
  });
  await fixture.jobs.cancel({ id: retried.cancelled });
  for (const [state, id] of Object.entries(retried))
    await inState(fixture, id, state.toUpperCase());
  await page.goto(`${fixture.env.url}/queues/default`);
  await page.getByRole("button", { name: "Retry jobs" }).click();
  const dialog = page.getByRole("dialog", { name: "Retry jobs" });
  const pairs = () => dialog.locator("dl > div").allTextContents();
  await dialog.getByText("This retries 1 job.").waitFor();
  assert.deepEqual(await pairs(), [
    "Queuesdefault",
    "Kindsany",
    "StatesFailed",
    "Labelsany",
    "Enqueued at or afterany",
    "Enqueued beforeany",
  ]);
  const states = await dialog.getByRole("listitem").allTextContents();
  assert.deepEqual(
    states.map((text) => text.trim().replace(/\s+/g, " ")),
    ["Failed 1", "Cancelled 1 was cancelled", "Succeeded 1 already succeeded; runs a second time"],
  );
  await dialog.getByRole("button", { name: "Retry jobs" }).click();
  await dialog.getByText("Done.").waitFor();
  assert.deepEqual(await runs(), [2, 1, 1]);
  await inState(fixture, retried.failed, "FAILED");

  // Every part of a filter is restated, and other states only take part when they are chosen.
  const search = new URLSearchParams({
    queue: "default",
    kind: "demo.noop,demo.fail",
    label: 'city="Paris, France"',
    after: "2026-01-01T00:00:00Z",
    before: "2099-01-01T00:00:00Z",
    state: "succeeded,cancelled",
  });
  await page.goto(`${fixture.env.url}/search?${search}`);
  await page.getByRole("button", { name: "Retry jobs" }).click();
  await dialog.getByText("Choose the states").waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Retry jobs" }).count(), 0);
  await dialog.getByRole("checkbox", { name: "Succeeded" }).check();
  await dialog.getByText("This retries 1 job.").waitFor();
  const restated = (await pairs()).join("\n");
  for (const part of ["default", "demo.noop · demo.fail", "Succeeded", 'city="Paris, France"'])
    assert.ok(restated.includes(part), restated);
  assert.match(restated, /2026.*20(98|99)/s);
  await dialog.getByRole("button", { name: "Retry jobs" }).click();
  await dialog.getByText("Done.").waitFor();
  assert.deepEqual(await runs(), [2, 2, 1]);
});

test("an action on selected rows asks about each state", async () => {
  await page.goto(`${fixture.env.url}/search?queue=default`);
  await until("results are shown", async () => (await rows().count()) === 4);
  await page.getByLabel("Select all loaded jobs").check();
  const selection = page.getByRole("group", { name: "3 selected" });
  await selection.getByRole("button", { name: "Retry" }).click();
  const dialog = page.getByRole("dialog", { name: "Retry jobs" });
  await dialog.getByText("This retries 1 job.").waitFor();
  await dialog.getByRole("checkbox", { name: "Failed" }).uncheck();
  await dialog.getByText("Choose the states").waitFor();
  await dialog.getByRole("checkbox", { name: "Cancelled" }).check();
  await dialog.getByRole("button", { name: "Retry", exact: true }).click();
  await page.getByText("Retry: 1 job").waitFor();
  assert.deepEqual(await runs(), [2, 2, 2]);
});

async function cancelled() {
  const { queues } = await fixture.jobs.counts({ queues: ["mail"] });
  return Number(queues[0]?.states.find(({ state }) => state === State.CANCELLED)?.count ?? 0);
}

test("an action on selected rows changes only these jobs", async () => {
  await page.goto(`${fixture.env.url}/search?queue=mail`);
  await until("results are shown", async () => (await rows().count()) > 5);
  const before = await cancelled();
  for (const row of [1, 3]) await rows().nth(row).getByRole("checkbox").check();
  const selection = page.getByRole("group", { name: "2 selected" });
  await selection.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText(/Delete: 2 jobs/).waitFor();
  await until("two jobs are deleted", async () => (await cancelled()) === before - 2);
});

test("a bulk action requires a filter", async () => {
  await page.goto(`${fixture.env.url}/search`);
  await page.getByRole("button", { name: "Delete jobs" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete jobs" });
  await dialog.getByText(/Choose a queue/).waitFor();
  assert.equal(await dialog.getByRole("button", { name: "Delete jobs" }).count(), 0);
});

// Tests of what the panel asks before an action on a job, in every state.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, inEveryState, inState, startFixture } from "./fixture.js";
import { confirm } from "./steps.js";

const ACTIONS = ["Cancel", "Retry", "Run now", "Delete"];

/** What the question says, or `direct` where there is none. Other actions are not offered. */
const TABLE = {
  running: { Cancel: /asked to stop/ },
  ready: { Cancel: /ready to run/, Delete: /not run yet/ },
  scheduled: { Cancel: /is scheduled/, "Run now": "direct", Delete: /is scheduled/ },
  blocked: { Cancel: /dependencies/, Delete: /dependencies/ },
  failed: { Retry: "direct", Delete: /with its error/ },
  cancelled: { Retry: /was cancelled/, Delete: /cannot be undone/ },
  expired: { Retry: /did not start before its deadline/, Delete: /cannot be undone/ },
  succeeded: { Retry: /already succeeded/, Delete: /with its result/ },
};

const fixture = await startFixture();
const ids = await inEveryState(fixture);
ids.blocked = await enqueue(fixture, "noop", {}, { dependsOn: [ids.running] });
const startDeadline = { seconds: BigInt(Math.ceil(Date.now() / 1000) + 2), nanos: 0 };
ids.expired = await enqueue(fixture, "noop", {}, { queue: "mail", startDeadline });
await inState(fixture, ids.expired, "EXPIRED");
const page = await fixture.open();

for (const [state, questions] of Object.entries(TABLE)) {
  test(`${state}: only the possible actions are offered, and a question says what they do`, async () => {
    await page.goto(`${fixture.env.url}/jobs/${ids[state]}`);
    const buttons = page.locator(".head").getByRole("button");
    const button = (name) => page.locator(".head").getByRole("button", { name, exact: true });
    await buttons.first().waitFor();
    for (const action of ACTIONS) {
      assert.equal(await button(action).count(), action in questions ? 1 : 0, action);
    }
    for (const [action, text] of Object.entries(questions)) {
      if (text === "direct") continue;
      await button(action).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText(text).waitFor();
      await dialog.getByText(ids[state]).waitFor();
      await dialog.getByRole("button", { name: "Close" }).click();
      await dialog.waitFor({ state: "detached" });
      const { job } = await fixture.jobs.get({ id: ids[state] });
      assert.equal(job.run, 1);
    }
    await inState(fixture, ids[state], state.toUpperCase());
  });
}

test("an action that does what the state suggests runs without a question", async () => {
  await page.goto(`${fixture.env.url}/jobs/${ids.failed}`);
  await page.getByRole("button", { name: "Retry", exact: true }).click();
  await until("the job runs again", async () => {
    const { job } = await fixture.jobs.get({ id: ids.failed });
    return job.run === 2;
  });
});

test("the list asks before it runs a succeeded job again, and runs it after the answer", async () => {
  await page.goto(fixture.env.url);
  const row = page.getByRole("row").filter({ hasText: ids.succeeded.slice(-8) });
  await row.getByRole("button", { name: /^Retry/ }).click();
  await page.getByRole("dialog").getByText("already succeeded").waitFor();
  const { job } = await fixture.jobs.get({ id: ids.succeeded });
  assert.equal(job.run, 1);
  await confirm(page, "Retry");
  await until("the job runs again", async () => {
    const { job } = await fixture.jobs.get({ id: ids.succeeded });
    return job.run === 2;
  });
});

test("a question about a job that changes meanwhile cannot be answered with yes", async () => {
  await page.goto(`${fixture.env.url}/jobs/${ids.scheduled}`);
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("is scheduled").waitFor();
  await fixture.jobs.runNow({ id: ids.scheduled });
  await dialog.getByText("It is now: Succeeded").waitFor();
  assert.ok(await dialog.getByRole("button", { name: "Cancel" }).isDisabled());
});

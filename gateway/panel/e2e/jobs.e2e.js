// Tests of signing in and out, enqueueing a job, and actions on jobs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JobService, KeyService, webClient } from "../../tests/web/harness/api.js";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, inState, startFixture } from "./fixture.js";
import {
  confirm,
  enqueueByForm,
  increasingPositions,
  isMarked,
  mark,
  NAMES,
  signIn,
} from "./steps.js";

const fixture = await startFixture({ requiresKey: true });
const page = await fixture.open("/");

test("an invalid key is refused, and a valid key opens the panel", async () => {
  await signIn(page, "snt_0000000000000000_wrong");
  await page.getByRole("alert").filter({ hasText: /key/i }).first().waitFor();
  await signIn(page, fixture.credential);
  await page.getByRole("navigation").getByRole("link", { name: NAMES.newJob }).first().waitFor();
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.ok(!stored.includes(fixture.credential) && !(await page.evaluate(() => document.cookie)));
});

test("a job enqueued by the form shows its progress without a reload", async () => {
  await mark(page);
  await enqueueByForm(page, {
    queue: "default",
    kind: "demo.progress",
    payload: { steps: 40, step_ms: 100 },
  });
  const positions = await increasingPositions(
    page.getByRole("main").getByRole("progressbar").first(),
    4,
  );
  assert.ok(await isMarked(page), String(positions));
});

test("a running job can be cancelled and retried on its screen", async () => {
  const id = await enqueue(fixture, "sleep", { ms: 3_600_000 });
  await page.goto(`${fixture.env.url}/jobs/${id}`);
  await inState(fixture, id, "RUNNING");
  await page.getByRole("button", { name: NAMES.cancel }).first().click();
  await inState(fixture, id, "RUNNING");
  await confirm(page, NAMES.cancel);
  await inState(fixture, id, "CANCELLED");
  await page
    .getByRole("main")
    .getByText(/cancelled/i)
    .first()
    .waitFor();
  await page.getByRole("button", { name: NAMES.retry }).first().click();
  await page.getByRole("dialog").getByText("was cancelled").waitFor();
  await confirm(page, NAMES.retry);
  await inState(fixture, id, "RUNNING");
  await fixture.jobs.cancel({ id });
});

test("a viewer key cannot cancel, and a revoked key leads to the sign-in form", async () => {
  const viewer = await fixture.env.key("viewer", "viewer");
  const asViewer = webClient(JobService, fixture.env.url, {
    headers: { authorization: `Bearer ${viewer.credential}` },
  });
  await until("the server accepts the key", () => asViewer.counts({}));
  const id = await enqueue(fixture, "sleep", { ms: 3_600_000 });
  const other = await fixture.open(`/jobs/${id}`);
  await signIn(other, viewer.credential);
  await other.getByRole("button", { name: NAMES.cancel }).first().click();
  await confirm(other, NAMES.cancel);
  await other
    .getByText(/does not allow this/i)
    .first()
    .waitFor();
  await inState(fixture, id, "RUNNING");
  const headers = { authorization: `Bearer ${fixture.credential}` };
  await webClient(KeyService, fixture.env.url, { headers }).revokeKey({
    id: viewer.credential.split("_")[1],
  });
  await other.getByLabel(NAMES.key).waitFor();
  await other.context().close();
});

test("signing out leads to the sign-in form", async () => {
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: NAMES.signOut }).click();
  await page.getByLabel(NAMES.key).waitFor();
  const { signedIn } = await page.evaluate(async () => (await fetch("/session")).json());
  assert.equal(signedIn, false);
});

test("the page logs no errors and violates no security policy", async () => {
  const problems = page.problems.filter((text) => !/40[013]|net::ERR/.test(text));
  assert.deepEqual(problems, []);
});

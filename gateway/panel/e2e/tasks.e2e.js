// A person signs in, starts a job, sees it move, and acts on jobs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { JobService, KeyService, webClient } from "../../tests/web/harness/contract.js";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, inState, scene } from "./scene.js";
import { enqueueByForm, goTo, isMarked, mark, moves, NAMES, signIn } from "./steps.js";

const here = await scene({ isLocked: true });
const page = await here.open("/");

test("a wrong key is refused in words, the right one opens the panel", async () => {
  await signIn(page, "snt_0000000000000000_wrong");
  await page.getByRole("alert").filter({ hasText: /key/i }).first().waitFor();
  await signIn(page, here.credential);
  await page.getByRole("navigation").getByRole("link", { name: NAMES.newJob }).first().waitFor();
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));
  assert.ok(!stored.includes(here.credential) && !(await page.evaluate(() => document.cookie)));
});

test("a job enqueued from the page shows its progress without a reload", async () => {
  await mark(page);
  await enqueueByForm(page, {
    queue: "default",
    kind: "demo.progress",
    payload: { steps: 40, step_ms: 100 },
  });
  const seen = await moves(page.getByRole("main").getByRole("progressbar").first(), 4);
  assert.ok(await isMarked(page), String(seen));
});

test("a running job is cancelled from its page, and retried", async () => {
  const id = await enqueue(here, "sleep", { ms: 3_600_000 });
  await page.goto(`${here.world.url}/jobs/${id}`);
  await inState(here, id, "RUNNING");
  await page.getByRole("button", { name: NAMES.cancel }).first().click();
  await inState(here, id, "CANCELLED");
  await page
    .getByRole("main")
    .getByText(/cancelled/i)
    .first()
    .waitFor();
  await page.getByRole("button", { name: NAMES.retry }).first().click();
  await inState(here, id, "RUNNING");
  await here.jobs.cancel({ id });
});

test("a key that may only look is told so, and one that is revoked is asked for again", async () => {
  const looker = await here.world.key("looker", "viewer");
  const asLooker = webClient(JobService, here.world.url, {
    headers: { authorization: `Bearer ${looker.credential}` },
  });
  await until("the server knows the key", () => asLooker.counts({}));
  const id = await enqueue(here, "sleep", { ms: 3_600_000 });
  const other = await here.open(`/jobs/${id}`);
  await signIn(other, looker.credential);
  await other.getByRole("button", { name: NAMES.cancel }).first().click();
  await other
    .getByText(/your key may not do this/i)
    .first()
    .waitFor();
  await inState(here, id, "RUNNING");
  const headers = { authorization: `Bearer ${here.credential}` };
  await webClient(KeyService, here.world.url, { headers }).revokeKey({
    id: looker.credential.split("_")[1],
  });
  await other.getByLabel(NAMES.key).waitFor();
  await other.context().close();
});

test("who signs out is asked for a key again", async () => {
  await page.getByText("More", { exact: true }).click();
  await page.getByRole("button", { name: NAMES.signOut }).click();
  await page.getByLabel(NAMES.key).waitFor();
  const { signedIn } = await page.evaluate(async () => (await fetch("/session")).json());
  assert.equal(signedIn, false);
});

test("nothing was refused by the page's own policy, and nothing was thrown", async () => {
  const problems = page.problems.filter((text) => !/40[013]|net::ERR/.test(text));
  assert.deepEqual(problems, []);
});

// Tests of the list of workers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startFixture } from "./fixture.js";
import { isMarked, mark } from "./steps.js";

const fixture = await startFixture();

test("the list shows connecting and disconnecting workers without a reload", async () => {
  const page = await fixture.open("/workers");
  const row = (instance) => page.getByRole("row").filter({ hasText: instance });
  await row("web").waitFor();
  await mark(page);
  const other = await fixture.env.startWorker(["--instance", "other", "--queues", "mail"]);
  await row("other").filter({ hasText: "mail" }).waitFor();
  await page.getByRole("link", { name: "Workers 2" }).waitFor();
  await other.stop();
  await row("other").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Workers 1" }).waitFor();
  assert.ok(await isMarked(page));
});

test("the jobs screen shows a notice while no worker is connected", async () => {
  const page = await fixture.open();
  const notice = page.getByText("No worker is connected.");
  await page.getByRole("link", { name: "Workers 1" }).waitFor();
  assert.equal(await notice.count(), 0);
  await fixture.worker.stop();
  await notice.waitFor();
  await fixture.env.startWorker();
  await notice.waitFor({ state: "detached" });
});

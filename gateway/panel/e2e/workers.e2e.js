// The fleet, as workers come and go.
import assert from "node:assert/strict";
import { test } from "node:test";
import { scene } from "./scene.js";
import { isMarked, mark } from "./steps.js";

const here = await scene();

test("a worker that comes is listed, and one that goes is not, without a reload", async () => {
  const page = await here.open("/workers");
  const row = (instance) => page.getByRole("row").filter({ hasText: instance });
  await row("web").waitFor();
  await mark(page);
  const other = await here.world.startWorker(["--instance", "other", "--queues", "mail"]);
  await row("other").filter({ hasText: "mail" }).waitFor();
  await page.getByRole("link", { name: "Workers 2" }).waitFor();
  await other.stop();
  await row("other").waitFor({ state: "detached" });
  await page.getByRole("link", { name: "Workers 1" }).waitFor();
  assert.ok(await isMarked(page));
});

test("home says that there is no worker, until there is one", async () => {
  const page = await here.open();
  const notice = page.getByText("No worker is connected.");
  await page.getByRole("link", { name: "Workers 1" }).waitFor();
  assert.equal(await notice.count(), 0);
  await here.worker.stop();
  await notice.waitFor();
  await here.world.startWorker();
  await notice.waitFor({ state: "detached" });
});

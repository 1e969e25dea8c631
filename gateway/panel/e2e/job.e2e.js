// One job's page: what it waits for, as that goes on, and a job that is not there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DependencyFailurePolicy } from "../../tests/web/harness/contract.js";
import { enqueue, inState, scene } from "./scene.js";
import { isMarked, mark } from "./steps.js";

const here = await scene();

test("what a job waits for is drawn, and goes on before the eyes", async () => {
  const anyway = { onDependencyFailure: DependencyFailurePolicy.RUN };
  const first = await enqueue(here, "sleep", { ms: 3_600_000 });
  const second = await enqueue(here, "echo", {}, { ...anyway, dependsOn: [first] });
  const last = await enqueue(here, "noop", {}, { ...anyway, dependsOn: [first, second] });
  const page = await here.open(`/jobs/${last}`);
  const graph = page.getByRole("group", { name: "Depends on" });
  const boxes = graph.getByRole("listitem");
  const box = (id) => boxes.filter({ has: page.locator(`a[href$="${id}"]`) });
  await box(first).filter({ hasText: "Running" }).waitFor();
  await box(second).filter({ hasText: "Blocked" }).waitFor();
  await box(last).filter({ hasText: "Blocked" }).waitFor();
  const across = async (id) => (await box(id).boundingBox()).x;
  const [a, b, c] = [await across(first), await across(second), await across(last)];
  assert.ok(a < b && b < c, `${a}, ${b}, ${c}`);
  assert.equal(await graph.locator("div > svg > path").count(), 3);
  await mark(page);
  await here.jobs.cancel({ id: first });
  await box(first).filter({ hasText: "Cancelled" }).waitFor();
  await box(second).filter({ hasText: "Succeeded" }).waitFor();
  await box(last).filter({ hasText: "Succeeded" }).waitFor();
  assert.ok(await isMarked(page));
  await box(second).getByRole("link").click();
  await page.waitForURL(new RegExp(`/jobs/${second}$`));
  await page.context().close();
});

test("a job that no server knows, and an id that is none, are each said", async () => {
  const page = await here.open("/jobs/0198c0de-0000-7000-8000-000000000000");
  await page.getByText("No server knows this job").waitFor();
  await page.goto(`${here.world.url}/jobs/42`);
  await page.getByRole("alert").filter({ hasText: /UUID/ }).waitFor();
  const id = await enqueue(here, "noop");
  await inState(here, id, "SUCCEEDED");
  await here.jobs.delete({ id });
  await page.goto(`${here.world.url}/jobs/${id}`);
  await page.getByText("No server knows this job").waitFor();
  await page.context().close();
});

// Tests of the job screen: the dependency graph, and jobs that do not exist.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DependencyFailurePolicy } from "../../tests/web/harness/api.js";
import { enqueue, inState, startFixture } from "./fixture.js";
import { isMarked, mark } from "./steps.js";

const fixture = await startFixture();

test("the dependency graph shows the dependencies and updates live", async () => {
  const runAnyway = { onDependencyFailure: DependencyFailurePolicy.RUN };
  const first = await enqueue(fixture, "sleep", { ms: 3_600_000 });
  const second = await enqueue(fixture, "echo", {}, { ...runAnyway, dependsOn: [first] });
  const last = await enqueue(fixture, "noop", {}, { ...runAnyway, dependsOn: [first, second] });
  const page = await fixture.open(`/jobs/${last}`);
  const graph = page.getByRole("group", { name: "Depends on" });
  const nodes = graph.getByRole("listitem");
  const node = (id) => nodes.filter({ has: page.locator(`a[href$="${id}"]`) });
  await node(first).filter({ hasText: "Running" }).waitFor();
  await node(second).filter({ hasText: "Blocked" }).waitFor();
  await node(last).filter({ hasText: "Blocked" }).waitFor();
  const xOf = async (id) => (await node(id).boundingBox()).x;
  const [a, b, c] = [await xOf(first), await xOf(second), await xOf(last)];
  assert.ok(a < b && b < c, `${a}, ${b}, ${c}`);
  assert.equal(await graph.locator("div > svg > path").count(), 3);
  await mark(page);
  await fixture.jobs.cancel({ id: first });
  await node(first).filter({ hasText: "Cancelled" }).waitFor();
  await node(second).filter({ hasText: "Succeeded" }).waitFor();
  await node(last).filter({ hasText: "Succeeded" }).waitFor();
  assert.ok(await isMarked(page));
  await node(second).getByRole("link").click();
  await page.waitForURL(new RegExp(`/jobs/${second}$`));
  await page.context().close();
});

test("an unknown job and an invalid id are reported", async () => {
  const page = await fixture.open("/jobs/0198c0de-0000-7000-8000-000000000000");
  await page.getByText("Job not found").waitFor();
  await page.goto(`${fixture.env.url}/jobs/42`);
  await page.getByRole("alert").filter({ hasText: /UUID/ }).waitFor();
  const id = await enqueue(fixture, "noop");
  await inState(fixture, id, "SUCCEEDED");
  await fixture.jobs.delete({ id });
  await page.goto(`${fixture.env.url}/jobs/${id}`);
  await page.getByText("Job not found").waitFor();
  await page.context().close();
});

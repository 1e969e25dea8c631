// Tests of an open page while the server or the gateway restarts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../tests/web/harness/wait.js";
import { enqueue, startFixture } from "./fixture.js";
import { isMarked, mark } from "./steps.js";

const fixture = await startFixture();

/** The text of the banner while the page has no stream. */
const LOST = /connection lost/i;

test("leaving the page closes its stream on the server", async () => {
  const page = await fixture.open("/");
  await fixture.env.watchers(1);
  await page.goto("about:blank");
  await fixture.env.watchers(0);
  await page.context().close();
});

for (const killed of ["server", "gateway"]) {
  test(`the page reports a lost ${killed}, and shows the changes after the restart`, async () => {
    const { env } = fixture;
    const id = await enqueue(fixture, "noop", {}, { delay: { seconds: 3600n } });
    const page = await fixture.open(`/jobs/${id}`);
    await mark(page);
    await page
      .getByRole("main")
      .getByText(/scheduled/i)
      .first()
      .waitFor();
    await env[killed].kill();
    await page.getByRole("status").filter({ hasText: LOST }).first().waitFor();
    await (killed === "server" ? env.startServer() : env.startGateway());
    await until("calls succeed", () => fixture.jobs.get({ id }));
    // If the page has not reconnected yet, it gets this change from its cursor.
    await fixture.jobs.cancel({ id });
    await page
      .getByRole("main")
      .getByText(/cancelled/i)
      .first()
      .waitFor();
    await page.getByRole("status").filter({ hasText: LOST }).first().waitFor({ state: "hidden" });
    assert.ok(await isMarked(page));
    await page.context().close();
  });
}

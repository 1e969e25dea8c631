// Tests of filters with values that have special characters.
import assert from "node:assert/strict";
import { test } from "node:test";
import { demo } from "../../tests/web/harness/api.js";
import { until } from "../../tests/web/harness/wait.js";
import { startFixture } from "./fixture.js";

const VALUES = [
  "Paris, France",
  "a=b=c",
  '"quoted"',
  'say "no", twice',
  "  spaces  ",
  "",
  "line\nbreak\ttab",
  "été 中文 א 👩‍💻",
  "\u202eoverride\u2066 \u200b",
  "50%+a&b#c?d",
  "back\\slash",
  "true",
  "007",
];

const fixture = await startFixture();
const specs = VALUES.map((value) => demo("noop", {}, { queue: "mail", labels: { note: value } }));
const { results } = await fixture.jobs.enqueueBatch({ specs });
const ids = results.map(({ outcome }) => outcome.value.job?.id ?? outcome.value.id);
const page = await fixture.open();
const rows = () => page.getByRole("table", { name: "Search" }).getByRole("row");

for (const [index, value] of VALUES.entries()) {
  test(`the label ${JSON.stringify(value)} finds its job, from the chip and from the form`, async () => {
    await page.goto(`${fixture.env.url}/jobs/${ids[index]}`);
    await page.locator("a.chip").click();
    await page.waitForURL(/\/search/);
    const onlyItsJob = async () =>
      (await rows().count()) === 2 &&
      (await rows().nth(1).textContent()).includes(ids[index].slice(-8));
    await until("only its job is found", onlyItsJob);
    // The form has the same text, and so has a reloaded page.
    await page.getByRole("search").getByRole("button", { name: "Search" }).click();
    await until("only its job is found again", onlyItsJob);
    await page.reload();
    await until("only its job is found after a reload", onlyItsJob);
    await page.goto(`${fixture.env.url}/${new URL(page.url()).search}`);
    const jobs = page.getByRole("table", { name: "Jobs" }).getByRole("row");
    await until("the jobs screen finds it", async () => (await jobs.count()) === 2);
  });
}

test("a text that is no label is reported, and finds nothing", async () => {
  await page.goto(`${fixture.env.url}/`);
  const form = page.getByRole("search", { name: "Jobs" });
  await form.getByLabel("Label").fill("tenant");
  await form.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("alert").filter({ hasText: "tenant must be key=value" }).waitFor();
  assert.equal(await page.getByRole("table").count(), 0);
});

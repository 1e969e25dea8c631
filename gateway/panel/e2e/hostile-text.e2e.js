// Tests that text from jobs is shown without invisible characters, on every screen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { enqueue, inState, startFixture } from "./fixture.js";

/** A terminal sequence, an override of direction, an isolate, a space of no width, and a mark. */
const HOSTILE = "\u001b[31m\u202egnp.exe\u2066\u200b\u200f";

const fixture = await startFixture({ worker: ["--instance", "web\u202e\u200b"] });
const labels = { note: HOSTILE, plain: "é 中 א 👩‍💻" };
const ids = {
  failed: await enqueue(
    fixture,
    "fail",
    { message: `cannot open ${HOSTILE}` },
    {
      labels,
      retry: { maxAttempts: 1 },
    },
  ),
  echoed: await enqueue(fixture, "echo", { text: HOSTILE }, { unique: { key: HOSTILE } }),
  cancelled: await enqueue(fixture, "noop", {}, { delay: { seconds: 3600n }, labels }),
};
await fixture.jobs.cancel({ id: ids.cancelled, reason: HOSTILE });
await inState(fixture, ids.failed, "FAILED");
await inState(fixture, ids.echoed, "SUCCEEDED");
await fixture.queues.createQueue({ queue: { name: "mail", description: HOSTILE } });

const PATHS = [
  "/",
  "/search",
  `/search?label=${encodeURIComponent(`note=${HOSTILE}`)}`,
  `/search?label=${encodeURIComponent(HOSTILE)}`,
  `/?label=${encodeURIComponent(HOSTILE)}`,
  `/jobs/${ids.failed}`,
  `/jobs/${ids.echoed}`,
  `/jobs/${ids.cancelled}`,
  `/jobs/${encodeURIComponent(HOSTILE)}`,
  "/queues",
  "/queues/mail",
  `/queues/${encodeURIComponent(HOSTILE)}`,
  "/workers",
  "/audit",
];

/** Returns the texts and attributes of the page that show an invisible character. */
function hostileTexts() {
  const isInvisible = (text) =>
    /[\p{Cc}\p{Bidi_Control}\u200b]/u.test(text.replaceAll(/[\n\t]/g, ""));
  const found = isInvisible(document.title) ? [document.title] : [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ALL);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (node instanceof Text && isInvisible(node.data)) found.push(node.data);
    if (!(node instanceof Element)) continue;
    // What the user typed into a field, and links, are exact.
    for (const name of ["title", "aria-label", "aria-valuetext", "data-label"]) {
      const value = node.getAttribute(name);
      if (value !== null && isInvisible(value)) found.push(`${name}: ${value}`);
    }
  }
  return found;
}

for (const path of PATHS) {
  test(`${decodeURIComponent(path).replace(/[^ -~]/g, "?")} shows no invisible characters`, async () => {
    const page = await fixture.open(path);
    await page.getByRole("main").waitFor();
    await page.waitForLoadState("load");
    await page.waitForFunction(
      () =>
        ![...document.querySelectorAll("[role=status]")].some((one) =>
          one.textContent.startsWith("Loading"),
        ),
    );
    assert.deepEqual(await page.evaluate(hostileTexts), []);
    await page.context().close();
  });
}

test("the escapes are shown, and other scripts and emoji are unchanged", async () => {
  const page = await fixture.open(`/jobs/${ids.failed}`);
  const escaped = "\\u001b[31m\\u202egnp.exe\\u2066\\u200b\\u200f";
  await page.getByText(`cannot open ${escaped}`).first().waitFor();
  await page.getByRole("link", { name: `note=${escaped}` }).waitFor();
  await page.getByRole("link", { name: "plain=é 中 א 👩‍💻" }).waitFor();
  await page.context().close();
});

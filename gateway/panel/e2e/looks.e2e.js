// Every screen, in both themes and both languages, on a phone and on a desk: free of what axe
// finds, and as pictures in target/panel-screenshots for people to look at.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { folder } from "../../tests/web/harness/browser.js";
import { ROOT } from "../../tests/web/harness/process.js";
import { enqueue, inEveryState, scene } from "./scene.js";

const resolve = createRequire(join(ROOT, "gateway/tests/web/package.json")).resolve;
const AXE = readFileSync(resolve("axe-core/axe.min.js"), "utf8");
const PICTURES = folder(join(ROOT, "target/panel-screenshots"));
const SIZES = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 800 } };
const THEMES = ["light", "dark"];
const LANGUAGES = { en: "en-GB", fr: "fr-FR" };

const here = await scene();
const locked = await scene({ isLocked: true });
const ids = await inEveryState(here);
const first = await enqueue(here, "echo", {}, { dependsOn: [ids.running] });
const second = await enqueue(here, "noop", {}, { dependsOn: [ids.running, ids.succeeded] });
ids.blocked = await enqueue(
  here,
  "progress",
  { steps: 3 },
  { dependsOn: [first, second, ids.succeeded] },
);
// For the audit trail.
await locked.queues.createQueue({ queue: { name: "mail" } });

const SCREENS = {
  tasks: "/",
  queues: "/queues",
  queue: "/queues/default",
  running: `/jobs/${ids.running}`,
  succeeded: `/jobs/${ids.succeeded}`,
  failed: `/jobs/${ids.failed}`,
  blocked: `/jobs/${ids.blocked}`,
  "no-job": "/jobs/0198c0de-0000-7000-8000-000000000000",
  search: "/search",
  "search-nothing": "/search?queue=nothing",
  workers: "/workers",
  "new-job": "/new",
  "audit-closed": "/audit",
  lost: "/no/such/page",
};

/** Until the page has what it shows. */
async function settled(page) {
  await page.getByRole("main").first().waitFor();
  await page.waitForFunction(() => {
    const said = [...document.querySelectorAll("[role=status]")].map((one) => one.textContent);
    return !said.some((text) => /^(Loading|Chargement)/.test(text.trim()));
  });
  await page.evaluate(() => document.fonts.ready);
}

for (const theme of THEMES) {
  for (const [language, locale] of Object.entries(LANGUAGES)) {
    test(`${theme}, ${language}`, async () => {
      // Without the page's policy for axe alone, whose script it would refuse.
      const options = { colorScheme: theme, locale, reducedMotion: "reduce", bypassCSP: true };
      const page = await here.open(undefined, options);
      const signIn = await locked.open(undefined, options);
      const found = [];
      for (const [name, path] of Object.entries(SCREENS)) {
        await page.goto(here.world.url + path);
        found.push(...(await look(page, name, `${theme}-${language}`)));
      }
      await signIn.goto(locked.world.url);
      found.push(...(await look(signIn, "sign-in", `${theme}-${language}`)));
      const key = { name: "sentinel_key", value: locked.credential, url: locked.world.url };
      await signIn.context().addCookies([key]);
      await signIn.goto(`${locked.world.url}/audit`);
      await signIn.getByRole("row").nth(1).waitFor();
      found.push(...(await look(signIn, "audit", `${theme}-${language}`)));
      await page.context().close();
      await signIn.context().close();
      assert.deepEqual(found, []);
    });
  }
}

/** Takes the pictures; answers what is wrong with what is seen. */
async function look(page, name, how) {
  const found = [];
  await page.addScriptTag({ content: AXE });
  for (const [device, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    await settled(page);
    await page.screenshot({ path: join(PICTURES, `${name}-${how}-${device}.png`) });
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (beyond > 0) found.push(`${name}: ${beyond} px wider than a ${device}`);
    found.push(...(await violations(page, name)));
  }
  return found;
}

async function violations(page, name) {
  const { violations, passes } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  assert.ok(passes.length > 10, `${name}: axe looked at nothing`);
  return violations.map(
    ({ id, help, nodes }) =>
      `${name}: ${id}: ${help}: ${nodes.map((node) => node.html.slice(0, 120)).join(" ; ")}`,
  );
}

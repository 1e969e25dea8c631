// Checks every screen with axe, in both themes, both languages and two sizes, and writes
// screenshots to target/panel-screenshots.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { folder } from "../../tests/web/harness/browser.js";
import { ROOT } from "../../tests/web/harness/process.js";
import { enqueue, inEveryState, startFixture } from "./fixture.js";

const resolve = createRequire(join(ROOT, "gateway/tests/web/package.json")).resolve;
const AXE = readFileSync(resolve("axe-core/axe.min.js"), "utf8");
const SCREENSHOTS = folder(join(ROOT, "target/panel-screenshots"));
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const THEMES = ["light", "dark"];
const LANGUAGES = { en: "en-GB", fr: "fr-FR" };

const fixture = await startFixture();
const keyRequired = await startFixture({ requiresKey: true });
const ids = await inEveryState(fixture);
const first = await enqueue(fixture, "echo", {}, { dependsOn: [ids.running] });
const second = await enqueue(fixture, "noop", {}, { dependsOn: [ids.running, ids.succeeded] });
ids.blocked = await enqueue(
  fixture,
  "progress",
  { steps: 3 },
  { dependsOn: [first, second, ids.succeeded] },
);
// Adds an audit entry.
await keyRequired.queues.createQueue({ queue: { name: "mail" } });

const SCREENS = {
  jobs: "/",
  queues: "/queues",
  queue: "/queues/default",
  running: `/jobs/${ids.running}`,
  succeeded: `/jobs/${ids.succeeded}`,
  failed: `/jobs/${ids.failed}`,
  blocked: `/jobs/${ids.blocked}`,
  "unknown-job": "/jobs/0198c0de-0000-7000-8000-000000000000",
  search: "/search",
  "search-empty": "/search?queue=nothing",
  workers: "/workers",
  "new-job": "/new",
  "audit-sign-in": "/audit",
  "not-found": "/no/such/page",
};

/** Dialogs: the path of a screen, and the button that opens the dialog. */
const DIALOGS = {
  "question-retry": [`/jobs/${ids.succeeded}`, ".head button.primary"],
  "bulk-delete": ["/queues/default", ".card button.danger"],
};

/** Waits until the page has loaded its data. */
async function loaded(page) {
  await page.getByRole("main").first().waitFor();
  await page.waitForFunction(() => {
    const statuses = [...document.querySelectorAll("[role=status]")].map((one) => one.textContent);
    return !statuses.some((text) => /^(Loading|Chargement)/.test(text.trim()));
  });
  await page.evaluate(() => document.fonts.ready);
}

for (const theme of THEMES) {
  for (const [language, locale] of Object.entries(LANGUAGES)) {
    test(`${theme}, ${language}`, async () => {
      // The content security policy would block the script of axe.
      const options = { colorScheme: theme, locale, reducedMotion: "reduce", bypassCSP: true };
      const page = await fixture.open(undefined, options);
      const signIn = await keyRequired.open(undefined, options);
      const problems = [];
      for (const [name, path] of Object.entries(SCREENS)) {
        await page.goto(fixture.env.url + path);
        problems.push(...(await check(page, name, `${theme}-${language}`)));
      }
      for (const [name, [path, button]] of Object.entries(DIALOGS)) {
        await page.goto(fixture.env.url + path);
        await page.locator(button).first().click();
        await page.getByRole("dialog").waitFor();
        problems.push(...(await check(page, name, `${theme}-${language}`)));
      }
      await signIn.goto(keyRequired.env.url);
      problems.push(...(await check(signIn, "sign-in", `${theme}-${language}`)));
      const key = { name: "sentinel_key", value: keyRequired.credential, url: keyRequired.env.url };
      await signIn.context().addCookies([key]);
      await signIn.goto(`${keyRequired.env.url}/audit`);
      await signIn.getByRole("row").nth(1).waitFor();
      problems.push(...(await check(signIn, "audit", `${theme}-${language}`)));
      await page.context().close();
      await signIn.context().close();
      assert.deepEqual(problems, []);
    });
  }
}

/** Takes screenshots of a screen in all sizes. Returns the problems. */
async function check(page, name, variant) {
  const problems = [];
  await page.addScriptTag({ content: AXE });
  for (const [device, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    await loaded(page);
    await page.screenshot({ path: join(SCREENSHOTS, `${name}-${variant}-${device}.png`) });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (overflow > 0) problems.push(`${name}: ${overflow} px wider than a ${device}`);
    problems.push(...(await violations(page, name)));
  }
  return problems;
}

async function violations(page, name) {
  const { violations, passes } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }),
  );
  assert.ok(passes.length > 10, `${name}: axe checked nothing`);
  return violations.map(
    ({ id, help, nodes }) =>
      `${name}: ${id}: ${help}: ${nodes.map((node) => node.html.slice(0, 120)).join(" ; ")}`,
  );
}

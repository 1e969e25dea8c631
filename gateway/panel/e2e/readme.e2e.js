// The pictures of README.md. SENTINEL_UPDATE=1 takes them again. Otherwise the test fails when the
// sources of a picture differ from those that it was taken of: their hash is stored beside it. Pixels
// are not compared, since fonts differ between machines.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { folder } from "../../tests/web/harness/browser.js";
import { ROOT } from "../../tests/web/harness/process.js";
import { enqueue, inEveryState, startFixture } from "./fixture.js";

const IMAGES = join(ROOT, "docs/images");
const isUpdate = process.env.SENTINEL_UPDATE !== undefined;
const TARGET = isUpdate ? IMAGES : folder(join(ROOT, "target/panel-screenshots/readme"));
const ARCHITECTURE = "docs/images/architecture.html";

/** Every file below a path that is neither generated nor built. */
function filesOf(path) {
  if (!statSync(join(ROOT, path)).isDirectory()) return [path];
  const names = readdirSync(join(ROOT, path)).filter((name) => name !== "gen");
  return names.sort().flatMap((name) => filesOf(`${path}/${name}`));
}

function hashOf(sources) {
  const hash = createHash("sha256");
  for (const file of sources.flatMap(filesOf))
    hash.update(file).update(readFileSync(join(ROOT, file)));
  return hash.digest("hex");
}

async function take(name, sources, page) {
  await page.screenshot({ path: join(TARGET, `${name}.png`) });
  await page.context().close();
  const hash = hashOf(sources);
  const stored = join(IMAGES, `${name}.sha256`);
  if (isUpdate) writeFileSync(stored, `${hash}\n`);
  const message = `docs/images/${name}.png is stale: SENTINEL_UPDATE=1 cargo xtask test --only browser`;
  assert.equal(readFileSync(stored, "utf8").trim(), hash, message);
}

test("the panel", async () => {
  const fixture = await startFixture();
  await inEveryState(fixture);
  const labels = { customer: "acme" };
  for (let n = 1; n <= 3; n += 1)
    await enqueue(fixture, "progress", { steps: 100 * n, step_ms: 200 }, { labels });
  const page = await fixture.open("/", { colorScheme: "light", locale: "en-GB" });
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.getByRole("progressbar").nth(4).waitFor();
  await take("panel", ["gateway/panel/src", "gateway/panel/e2e/readme.e2e.js"], page);
});

test("the architecture", async () => {
  const fixture = await startFixture();
  const page = await fixture.open();
  await page.setViewportSize({ width: 1000, height: 360 });
  await page.goto(pathToFileURL(join(ROOT, ARCHITECTURE)).href);
  await take("architecture", [ARCHITECTURE], page);
});

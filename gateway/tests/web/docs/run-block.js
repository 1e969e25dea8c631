// Runs a block of a page in Chromium, as part of a shop's own page of another origin, and prints
// what its progress bar showed: `node run-block.js html|js FILE PROGRAMS`. In the block, GATEWAY is
// the address of the gateway; the programs are those of that folder.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { openPage, startBrowser } from "../harness/browser.js";
import { demo, JobService, webClient } from "../harness/contract.js";
import { ROOT } from "../harness/process.js";
import { until } from "../harness/wait.js";
import { World } from "../harness/world.js";

/** Folders of packages by the names that a bundler would find them by. */
const PACKAGES = {
  "@bufbuild/protobuf": "gateway/tests/web/node_modules/@bufbuild/protobuf",
  "@connectrpc/connect": "gateway/tests/web/node_modules/@connectrpc/connect",
  "@connectrpc/connect-web": "gateway/tests/web/node_modules/@connectrpc/connect-web",
  "@sentinel/client": "client-sdk/node",
};

/** What a bundler does, as a map for the browser. */
function importMap() {
  const imports = {};
  for (const [name, folder] of Object.entries(PACKAGES)) {
    const { exports } = JSON.parse(readFileSync(join(ROOT, folder, "package.json")));
    for (const [path, target] of Object.entries(exports)) {
      const file = normalize(target.import ?? target.default ?? target);
      imports[join(name, path)] = `/${join(folder, file)}`;
    }
  }
  return JSON.stringify({ imports });
}

/** As a page of the shop: the block, and around a script what it needs. */
function shopPage(language, block) {
  const code =
    language === "html" ? block : `<progress></progress><script type="module">${block}</script>`;
  return `<!doctype html><meta charset="utf-8"><title>Shop</title>
<script type="importmap">${importMap()}</script>${code}`;
}

async function serve(answer) {
  const server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

const [language, file, programs] = process.argv.slice(2);
if (programs) process.env.SENTINEL_TEST_PROGRAMS = programs;
let page = "";
const shop = await serve((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const isScript = extname(pathname) === ".js";
  response.setHeader("content-type", isScript ? "text/javascript" : "text/html; charset=utf-8");
  response.end(isScript ? readFileSync(join(ROOT, normalize(pathname))) : page);
});
// Not by its number: the gateway is of another site, not only of another origin.
const origin = `http://localhost:${shop.address().port}`;
const world = await World.start({ gateway: ["--allow-origin", origin] });
const browser = await startBrowser();
try {
  page = shopPage(language, readFileSync(file, "utf8").replaceAll("GATEWAY", world.url));
  await world.startWorker();
  const jobs = webClient(JobService, world.url);
  const spec = demo("progress", { steps: 40, step_ms: 50 }, { delay: { seconds: 3600n } });
  const { job } = await jobs.enqueue({ spec });
  const tab = await openPage(browser, `${origin}/?job=${job.id}`);
  const bar = tab.getByRole("progressbar");
  const shown = () => bar.evaluate((bar) => bar.position);
  await world.watchers(1);
  await jobs.runNow({ id: job.id });
  const between = await until("the bar moves", async () => {
    assert.deepEqual(tab.problems, []);
    const position = await shown();
    return position > 0 && position < 1 && position;
  });
  await until("the bar is full", async () => (await shown()) === 1);
  await tab.close();
  await world.watchers(0);
  console.log(`the bar moved by ${between} to 1`);
} finally {
  await browser.close();
  await world.stop();
  shop.close();
}

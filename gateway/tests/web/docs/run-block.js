// Runs a code block of the documentation in Chromium, on a page of another origin, and prints the
// positions of its progress bar: `node run-block.js html|js FILE PROGRAMS`. FILE is the block, in
// which GATEWAY stands for the URL of the gateway. PROGRAMS is the directory of the programs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { demo, JobService, webClient } from "../harness/api.js";
import { openPage, startBrowser } from "../harness/browser.js";
import { TestEnvironment } from "../harness/environment.js";
import { ROOT } from "../harness/process.js";
import { until } from "../harness/wait.js";

/** Directories of packages by their name. */
const PACKAGES = {
  "@bufbuild/protobuf": "gateway/tests/web/node_modules/@bufbuild/protobuf",
  "@connectrpc/connect": "gateway/tests/web/node_modules/@connectrpc/connect",
  "@connectrpc/connect-web": "gateway/tests/web/node_modules/@connectrpc/connect-web",
  "@sentinel/client": "client-sdk/node",
};

/** Returns an import map, which replaces a bundler. */
function importMap() {
  const imports = {};
  for (const [name, directory] of Object.entries(PACKAGES)) {
    const { exports } = JSON.parse(readFileSync(join(ROOT, directory, "package.json")));
    for (const [path, target] of Object.entries(exports)) {
      const esm = target.import ?? target;
      const file = normalize(esm.default ?? esm);
      imports[join(name, path)] = `/${join(directory, file)}`;
    }
  }
  return JSON.stringify({ imports });
}

/** Returns a page with the block. A js block also needs a progress bar. */
function shopPage(language, block) {
  const code =
    language === "html" ? block : `<progress></progress><script type="module">${block}</script>`;
  return `<!doctype html><meta charset="utf-8"><title>Shop</title>
<script type="importmap">${importMap()}</script>${code}`;
}

async function serve(handler) {
  const server = createServer(handler);
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
// By name, because the gateway is at 127.0.0.1: the page is then of another site.
const origin = `http://localhost:${shop.address().port}`;
const env = await TestEnvironment.start({ gateway: ["--allow-origin", origin] });
const browser = await startBrowser();
try {
  page = shopPage(language, readFileSync(file, "utf8").replaceAll("GATEWAY", env.url));
  await env.startWorker();
  const jobs = webClient(JobService, env.url);
  const spec = demo("progress", { steps: 40, step_ms: 50 }, { delay: { seconds: 3600n } });
  const { job } = await jobs.enqueue({ spec });
  const tab = await openPage(browser, `${origin}/?job=${job.id}`);
  const bar = tab.getByRole("progressbar");
  const position = () => bar.evaluate((bar) => bar.position);
  await env.watchers(1);
  await jobs.runNow({ id: job.id });
  const firstPosition = await until("the bar moves", async () => {
    assert.deepEqual(tab.problems, []);
    const now = await position();
    return now > 0 && now < 1 && now;
  });
  await until("the bar is full", async () => (await position()) === 1);
  await tab.close();
  await env.watchers(0);
  console.log(`the bar moved from ${firstPosition} to 1`);
} finally {
  await browser.close();
  await env.stop();
  shop.close();
}

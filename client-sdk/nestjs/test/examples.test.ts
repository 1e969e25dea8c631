/**
 * The example projects with the packed packages, against a server. `SENTINEL_BIN` is the program `sentinel`; by
 * default that of `cargo build`.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { Client } from "@sentinel/client";

const run = promisify(execFile);
const packageDir = resolve(__dirname, "../..");
const program = process.env.SENTINEL_BIN ?? resolve(packageDir, "../../target/debug/sentinel");

let dir: string;
let server: ChildProcess;
let address: string;
let tarballs: string[];

before(async () => {
  assert.ok(existsSync(program), `${program} is missing: run cargo build, or set SENTINEL_BIN`);
  dir = mkdtempSync(join(tmpdir(), "sentinel-nest-"));
  address = `127.0.0.1:${await freePort()}`;
  const listen = ["--listen", address, "--ops-listen", `127.0.0.1:${await freePort()}`, "--gateway-listen", "off"];
  server = spawn(program, ["dev", ...listen, "--data-dir", join(dir, "data")], { stdio: "ignore" });
  for (const source of [resolve(packageDir, "../node"), packageDir]) {
    await run("npm", ["pack", "--ignore-scripts", "--pack-destination", dir], { cwd: source });
  }
  tarballs = readdirSync(dir).flatMap((name) => (name.endsWith(".tgz") ? [join(dir, name)] : []));
  assert.equal(tarballs.length, 2);
  // Waits for the server: the call is repeated until it answers.
  const client = new Client(address);
  await client.counts();
  client.close();
});

after(() => {
  server?.kill();
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
});

test("the package has valid exports", async () => {
  const [nestjs = ""] = tarballs.filter((file) => file.includes("nestjs"));
  await run(join(packageDir, "node_modules/.bin/publint"), ["--strict", nestjs]);
});

for (const example of ["nest10", "nest11"]) {
  test(`a project of ${example} runs a job and drains`, async () => {
    const project = join(dir, example);
    cpSync(join(packageDir, "examples", example), project, { recursive: true });
    // The example of the README is compiled, too.
    const readme = readFileSync(join(packageDir, "README.md"), "utf8");
    const [, block = ""] = /```ts\n([\s\S]*?)```/.exec(readme) ?? [];
    assert.match(block, /SentinelModule\.forRoot/);
    writeFileSync(join(project, "src/readme.ts"), block);
    const flags = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
    await run("npm", ["install", ...flags, ...tarballs], { cwd: project });
    await run("npx", ["tsc"], { cwd: project }).catch(({ stdout }) => assert.fail(String(stdout)));
    const env = { ...process.env, SENTINEL: address };
    const { stdout, stderr } = await run(process.execPath, ["dist/main.js"], { cwd: project, env, timeout: 60_000 });
    // On a slow machine Nest warns about the time of its own start.
    const lines = stdout.trim().split("\n");
    const printed = lines.filter((line) => !line.includes("[ModuleTokenFactory]"));
    assert.deepEqual(printed.sort(), ["hello ADA", "succeeded"], stderr);
    assert.equal(stderr, "");
  });
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => probe.once("listening", ready));
  const found = probe.address();
  await new Promise((closed) => probe.close(closed));
  return typeof found === "object" && found !== null ? found.port : 0;
}

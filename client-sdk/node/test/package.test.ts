/** The package of a fresh clone: complete, with valid types, in ES modules and CommonJS. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const packageDir = resolve(import.meta.dirname, "../..");
const root = resolve(packageDir, "../..");
const bin = (name: string) => join(packageDir, "node_modules/.bin", name);

let dir: string;
let project: string;
let tarball: string;

/** Packs a copy without anything that a build made, then installs the result in an empty project. */
before(async () => {
  dir = mkdtempSync(join(tmpdir(), "sentinel-package-"));
  const clone = join(dir, "client-sdk/node");
  const made = ["dist", "node_modules", "src/gen"].map((name) => join(packageDir, name));
  cpSync(packageDir, clone, { recursive: true, filter: (source) => !made.includes(source) });
  cpSync(join(root, "proto/sentinel"), join(dir, "proto/sentinel"), { recursive: true });
  symlinkSync(join(packageDir, "node_modules"), join(clone, "node_modules"));
  await run("npm", ["pack", "--pack-destination", dir], { cwd: clone });
  tarball = join(dir, readdirSync(dir).find((name) => name.endsWith(".tgz")) ?? "");
  project = join(dir, "project");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), "{}");
  const flags = ["--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
  await run("npm", ["install", ...flags, tarball], { cwd: project });
});

after(() => rmSync(dir, { recursive: true, force: true }));

test("it has both builds and the licences, and no tests", async () => {
  const { stdout } = await run("tar", ["-tzf", tarball]);
  const files = stdout.split("\n");
  for (const file of ["index.js", "index.d.ts", "worker/session-thread.js", "gen/sentinel/jobs/v1/job_pb.js"]) {
    for (const build of ["src", "cjs"]) assert.ok(files.includes(`package/dist/${build}/${file}`), `${build}/${file}`);
  }
  for (const file of ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "dist/cjs/package.json"]) {
    assert.ok(files.includes(`package/${file}`), file);
  }
  assert.ok(!files.some((file) => file.includes("test") || file.includes("cjs-src")));
});

test("publint and arethetypeswrong find no problem", async () => {
  await run(bin("publint"), ["--strict", tarball]);
  await run(bin("attw"), [tarball]);
});

/** Starts a worker, which loads the file of its thread, and makes a call. */
const PROGRAM = `
const stop = new AbortController();
const onEvent = (event) => event.type === "disconnected" && stop.abort();
const worker = new Worker({ endpoint: "127.0.0.1:1", handlers: { echo: (job) => job.payload }, onLog() {}, onEvent });
const client = new Client("127.0.0.1:1", { deadlineMs: 1_000 });
const done = Promise.allSettled([worker.run({ signal: stop.signal }), client.get("j1")]);
done.then(([run, get]) => console.log(run.status, get.reason.name, JobState.FAILED, typeof JobService));
`;

test("it runs in ES modules and in CommonJS", async () => {
  const names = "Client, JobState, Worker";
  writeFileSync(
    join(project, "program.mjs"),
    `import { ${names} } from "@sentinel/client"; import { JobService } from "@sentinel/client/proto"; ${PROGRAM}`,
  );
  writeFileSync(
    join(project, "program.cjs"),
    `const { ${names} } = require("@sentinel/client"); const { JobService } = require("@sentinel/client/proto"); ${PROGRAM}`,
  );
  for (const file of ["program.mjs", "program.cjs"]) {
    // Newer versions of Node can require ES modules; the oldest supported ones cannot.
    const flags = process.allowedNodeEnvironmentFlags.has("--experimental-require-module")
      ? ["--no-experimental-require-module"]
      : [];
    const { stdout } = await run(process.execPath, [...flags, file], { cwd: project });
    assert.equal(stdout, "fulfilled TransportError 6 object\n", file);
  }
});

test("its types resolve in every mode of TypeScript", async () => {
  const code = `import { Client, defineJob, type Job } from "@sentinel/client";
import { Worker } from "@sentinel/client/worker";
import { JobService } from "@sentinel/client/proto";
const resize = defineJob<{ width: number }, string>("resize");
export async function main(client: Client): Promise<[Job, string]> {
  const handle = await client.submit(resize, { width: 5 });
  // @ts-expect-error: the payload has a type.
  await client.submit(resize, { width: "5" });
  return [await handle.get(), await handle.result()];
}
export const names = [Worker.name, JobService.typeName];
`;
  writeFileSync(join(project, "types.ts"), code);
  writeFileSync(join(project, "types.mts"), code);
  const modes: readonly (readonly string[])[] = [
    ["types.ts", "--module", "commonjs", "--moduleResolution", "node10"],
    ["types.ts", "--module", "node16", "--moduleResolution", "node16"],
    ["types.mts", "--module", "nodenext", "--moduleResolution", "nodenext"],
    ["types.ts", "--module", "esnext", "--moduleResolution", "bundler"],
  ];
  const types = ["--types", "node", "--typeRoots", join(packageDir, "node_modules/@types")];
  for (const mode of modes) {
    // The types of all dependencies are checked once: it takes long.
    const skip = mode.includes("node10") ? [] : ["--skipLibCheck"];
    const flags = ["--noEmit", "--strict", "--target", "es2022", ...types, ...skip];
    const failed = (error: { stdout: string }) => assert.fail(`${mode.join(" ")}: ${error.stdout}`);
    await run(bin("tsc"), [...mode, ...flags], { cwd: project }).catch(failed);
  }
});

// schemathesis asks every call for what /openapi.json says that it takes, and for what it says
// that it does not: no answer is a fault of the server, and each is one that is described.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { ROOT } from "../harness/process.js";
import { World } from "../harness/world.js";

const SCHEMATHESIS =
  process.env.SENTINEL_TEST_SCHEMATHESIS ?? join(ROOT, "target/tools/venv/bin/schemathesis");

const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_schema_conformance",
];

const world = await World.start({ gateway: ["--requests-per-second", "0"] });
after(() => world.stop());

test("the description is true for whatever is asked", { timeout: 300_000 }, async () => {
  const seed = process.env.SENTINEL_TEST_SEED ?? String(Math.floor(Math.random() * 2 ** 32));
  const args = ["run", `${world.url}/openapi.json`, "--no-color", "--seed", seed];
  // A watch has no end.
  const bounds = ["--exclude-operation-id-regex", "JobService_Watch", "--request-timeout", "60"];
  const effort = [
    "--phases",
    "coverage,fuzzing",
    "--max-examples",
    "10",
    "--generation-database",
    "none",
  ];
  const run = promisify(execFile);
  const options = { cwd: world.path("."), maxBuffer: 64 << 20 };
  const all = [...args, ...bounds, ...effort, "--checks", CHECKS.join(",")];
  const { stdout } = await run(SCHEMATHESIS, all, options).catch((error) => {
    throw new Error(`seed ${seed}: ${error.stdout}${error.stderr}`);
  });
  const [, passed] = stdout.match(/(\d+) generated, \d+ passed/) ?? [];
  assert.ok(Number(passed) > 500, stdout);
});

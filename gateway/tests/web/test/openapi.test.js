// Runs schemathesis, which sends valid and invalid requests for every operation in /openapi.json.
// No response may be a server error, and every response must match the document.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { TestEnvironment } from "../harness/environment.js";
import { ROOT } from "../harness/process.js";

const SCHEMATHESIS =
  process.env.SENTINEL_TEST_SCHEMATHESIS ?? join(ROOT, "target/tools/venv/bin/schemathesis");

const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_schema_conformance",
];

const env = await TestEnvironment.start({ gateway: ["--requests-per-second", "0"] });
after(() => env.stop());

test("responses match the OpenAPI document", { timeout: 300_000 }, async () => {
  const seed = process.env.SENTINEL_TEST_SEED ?? String(Math.floor(Math.random() * 2 ** 32));
  const args = ["run", `${env.url}/openapi.json`, "--no-color", "--seed", seed];
  // A watch does not end, so it is excluded.
  const limits = ["--exclude-operation-id-regex", "JobService_Watch", "--request-timeout", "60"];
  const effort = [
    "--phases",
    "coverage,fuzzing",
    "--max-examples",
    "10",
    "--generation-database",
    "none",
  ];
  const run = promisify(execFile);
  const options = { cwd: env.path("."), maxBuffer: 64 << 20 };
  const all = [...args, ...limits, ...effort, "--checks", CHECKS.join(",")];
  const { stdout } = await run(SCHEMATHESIS, all, options).catch((error) => {
    throw new Error(`seed ${seed}: ${error.stdout}${error.stderr}`);
  });
  const [, passed] = stdout.match(/(\d+) generated, \d+ passed/) ?? [];
  assert.ok(Number(passed) > 500, stdout);
});

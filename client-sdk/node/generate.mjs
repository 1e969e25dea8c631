// Makes src/gen out of the contract and of the error details that its statuses carry.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const run = (...args) =>
  execFileSync(join(here, "node_modules/.bin/buf"), ["generate", ...args], {
    cwd: here,
    stdio: "inherit",
    env: { ...process.env, PATH: `${join(here, "node_modules/.bin")}:${process.env.PATH}` },
  });

rmSync(join(here, "src/gen"), { recursive: true, force: true });
run(join(here, "../../proto"));
run("node_modules/google-proto-files", "--path", "node_modules/google-proto-files/google/rpc/error_details.proto");

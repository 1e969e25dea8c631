// Makes src/gen out of the contract, the annotations that it imports, and the error details that
// statuses carry. Local plugins only: nothing is fetched from a registry of schemas.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = join(dirname(fileURLToPath(import.meta.url)), "..");
const bin = join(here, "node_modules/.bin");
const google = [
  "google/api/annotations.proto",
  "google/api/http.proto",
  "google/rpc/error_details.proto",
];
const plugins = [{ local: "protoc-gen-es", out: "src/gen", opt: ["target=ts"] }];

// One folder for all, since buf finds no import outside of its module.
const together = mkdtempSync(join(tmpdir(), "sentinel-panel-"));
try {
  cpSync(join(here, "../../proto/sentinel"), join(together, "sentinel"), { recursive: true });
  for (const file of google) {
    cpSync(join(here, "node_modules/google-proto-files", file), join(together, file));
  }
  rmSync(join(here, "src/gen"), { recursive: true, force: true });
  const args = ["generate", "--template", JSON.stringify({ version: "v2", plugins }), together];
  execFileSync(join(bin, "buf"), args, {
    cwd: here,
    stdio: "inherit",
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
} finally {
  rmSync(together, { recursive: true, force: true });
}

// Generates src/gen from the proto files of the API and the google.rpc error details. It uses only
// local plugins, so nothing is fetched from a schema registry.
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

// One directory for all files, because buf resolves imports only within a module.
const input = mkdtempSync(join(tmpdir(), "sentinel-panel-"));
try {
  cpSync(join(here, "../../proto/sentinel"), join(input, "sentinel"), { recursive: true });
  for (const file of google) {
    cpSync(join(here, "node_modules/google-proto-files", file), join(input, file));
  }
  rmSync(join(here, "src/gen"), { recursive: true, force: true });
  const args = ["generate", "--template", JSON.stringify({ version: "v2", plugins }), input];
  execFileSync(join(bin, "buf"), args, {
    cwd: here,
    stdio: "inherit",
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
} finally {
  rmSync(input, { recursive: true, force: true });
}

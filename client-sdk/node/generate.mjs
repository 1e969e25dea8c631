// Generates src/gen from the proto files of this repository, their imports and the error details of gRPC.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packageDir = dirname(fileURLToPath(import.meta.url));
const IMPORTS = ["google/api/annotations.proto", "google/api/http.proto", "google/rpc/error_details.proto"];

// buf resolves imports only within its input directory, so all files are copied into one.
const input = mkdtempSync(join(tmpdir(), "sentinel-proto-"));
try {
  cpSync(join(packageDir, "../../proto/sentinel"), join(input, "sentinel"), { recursive: true });
  for (const file of IMPORTS) {
    cpSync(join(packageDir, "node_modules/google-proto-files", file), join(input, file));
  }
  rmSync(join(packageDir, "src/gen"), { recursive: true, force: true });
  const bin = join(packageDir, "node_modules/.bin");
  execFileSync(join(bin, "buf"), ["generate", input], {
    cwd: packageDir,
    stdio: "inherit",
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  });
} finally {
  rmSync(input, { recursive: true, force: true });
}

// Makes src/gen out of the contract, of what it imports, and of the error details that its
// statuses carry.
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const IMPORTED = ["google/api/annotations.proto", "google/api/http.proto", "google/rpc/error_details.proto"];

// buf generates what it finds in one folder, and finds imports there alone.
const together = mkdtempSync(join(tmpdir(), "sentinel-proto-"));
try {
  cpSync(join(here, "../../proto/sentinel"), join(together, "sentinel"), { recursive: true });
  for (const file of IMPORTED)
    cpSync(join(here, "node_modules/google-proto-files", file), join(together, file));
  rmSync(join(here, "src/gen"), { recursive: true, force: true });
  execFileSync(join(here, "node_modules/.bin/buf"), ["generate", together], {
    cwd: here,
    stdio: "inherit",
    env: { ...process.env, PATH: `${join(here, "node_modules/.bin")}:${process.env.PATH}` },
  });
} finally {
  rmSync(together, { recursive: true, force: true });
}

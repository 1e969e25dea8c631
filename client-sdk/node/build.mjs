// Compiles the package twice: ES modules in dist/src (and the tests in dist/test), CommonJS in dist/cjs.
import { execFileSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const packageDir = dirname(fileURLToPath(import.meta.url));
const dist = (...path) => join(packageDir, "dist", ...path);
const tsc = (config) => {
  const bin = join(packageDir, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [bin, "--project", join(packageDir, config)], { stdio: "inherit" });
};

/** The file of the session's thread, which CommonJS locates differently. */
const THREAD_FILE = `import { join } from "node:path";
/** The file of the session's thread. */
export const THREAD_FILE: string | URL = join(__dirname, "session-thread.js");
`;

rmSync(dist(), { recursive: true, force: true });
tsc("tsconfig.json");
// TypeScript chooses the module format of a file by the nearest package.json, so the sources are copied next to one.
const sources = dist("cjs-src");
try {
  cpSync(join(packageDir, "src"), sources, { recursive: true });
  writeFileSync(join(sources, "worker/thread-file.ts"), THREAD_FILE);
  writeFileSync(join(sources, "package.json"), '{ "type": "commonjs" }\n');
  tsc("tsconfig.cjs.json");
  cpSync(join(sources, "package.json"), dist("cjs/package.json"));
} finally {
  rmSync(sources, { recursive: true, force: true });
}

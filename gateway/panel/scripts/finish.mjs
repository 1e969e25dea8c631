// Leaves compressed twins beside what the build wrote, and says how much JavaScript a first visit
// loads: the entry of index.html with all that it imports at once. Over the bound it fails.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const BOUND_BYTES = 200_000;
const COMPRESSED = /\.(js|css|html|svg|json|txt)$/;
const dist = join(dirname(fileURLToPath(import.meta.url)), "../dist");

const files = readdirSync(dist, { recursive: true }).map(String);
if (!process.argv.includes("--check")) {
  for (const name of files.filter((name) => COMPRESSED.test(name))) {
    const bytes = readFileSync(join(dist, name));
    writeFileSync(join(dist, `${name}.gz`), gzipSync(bytes, { level: 9 }));
    const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
    writeFileSync(join(dist, `${name}.br`), brotliCompressSync(bytes, { params }));
  }
}

const page = readFileSync(join(dist, "index.html"), "utf8");
const first = new Set([...page.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map((m) => m[1]));
for (const name of first) {
  const text = readFileSync(join(dist, name), "utf8");
  for (const [, other] of text.matchAll(/(?:from|^import|;import)\s*"\.\/([^"]+\.js)"/g)) {
    first.add(`assets/${other}`);
  }
}
if (first.size === 0) throw new Error("index.html names no script: was the panel built?");
const gzip = [...first].reduce(
  (sum, name) => sum + gzipSync(readFileSync(join(dist, name))).length,
  0,
);
console.log(`first load: ${gzip} bytes of JavaScript with gzip, of ${BOUND_BYTES} at most`);
if (gzip > BOUND_BYTES) process.exit(1);

// Writes compressed copies of the built files, and prints how much JavaScript the first page load
// needs: the entry of index.html with its static imports. Fails when it exceeds the limit.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const LIMIT_BYTES = 200_000;
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
if (first.size === 0) throw new Error("index.html loads no script; run npm run build first");
const gzip = [...first].reduce(
  (sum, name) => sum + gzipSync(readFileSync(join(dist, name))).length,
  0,
);
console.log(`first load: ${gzip} bytes of JavaScript with gzip, of ${LIMIT_BYTES} at most`);
if (gzip > LIMIT_BYTES) process.exit(1);

/** A self-signed certificate for TLS servers of tests. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function selfSigned(): { cert: string; key: string } {
  const dir = mkdtempSync(join(tmpdir(), "sentinel-cert-"));
  try {
    const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
    const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
    execFileSync("openssl", ["req", "-x509", ...newKey, "-out", cert, "-days", "1", ...subject], { stdio: "pipe" });
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

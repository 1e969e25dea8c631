/** Finds out why a connection fails: whether a server speaks TLS although the endpoint says http, or the reverse. */
import * as net from "node:net";
import * as tls from "node:tls";
import type { TlsConfig } from "./endpoint.js";

const PROBE_TIMEOUT_MS = 1_500;
/** The client preface of HTTP/2 with an empty SETTINGS frame. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");
/** The type of a SETTINGS frame and its offset in the frame header. */
const SETTINGS = 4;
const TYPE_OFFSET = 3;

/** What is wrong with the scheme of `url`, or `undefined` when it is right or unknown. */
export async function schemeMismatch(url: string, config: TlsConfig | undefined): Promise<string | undefined> {
  const { protocol, hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  if (protocol === "http:") {
    const options = {
      host,
      port: Number(port || 80),
      ALPNProtocols: ["h2"],
      ...(net.isIP(host) ? {} : { servername: host }),
    };
    if (!(await speaksTls({ ...options, ...config, rejectUnauthorized: false }))) return undefined;
    return `cannot reach ${url}: the server expects TLS; use https://`;
  }
  if (!(await speaksPlain(host, Number(port || 443)))) return undefined;
  return `cannot reach ${url}: the server does not use TLS; use http://`;
}

function speaksTls(options: tls.ConnectionOptions): Promise<boolean> {
  return probe((report) => tls.connect(options, () => report(true)));
}

function speaksPlain(host: string, port: number): Promise<boolean> {
  return probe((report) => {
    const socket = net.connect(port, host, () => socket.write(PREFACE));
    socket.once("data", (data) => report(data[TYPE_OFFSET] === SETTINGS || data.toString("latin1", 0, 5) === "HTTP/"));
    return socket;
  });
}

function probe(open: (report: (result: boolean) => void) => net.Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const report = (result: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    const timer = setTimeout(() => report(false), PROBE_TIMEOUT_MS);
    const socket = open(report);
    socket.on("error", () => report(false));
    socket.once("close", () => report(false));
  });
}

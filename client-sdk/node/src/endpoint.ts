/** Server addresses and what every call carries. */
import type { Interceptor } from "@connectrpc/connect";
import { InvalidArgumentError } from "./errors.js";

/**
 * The message size limit in both directions. Covers the largest batch (4 MiB) and the largest payload
 * that a server can allow (16 MiB), with their envelopes.
 */
export const MAX_MESSAGE_BYTES = 20 * 1024 * 1024;

/** The certificates of `https://` connections, in PEM. */
export interface TlsConfig {
  /** The CA certificate for checking servers. Default: the certificate authorities of Node.js. */
  readonly ca?: string;
  /** The client certificate for mutual TLS. Requires `key`. */
  readonly cert?: string;
  /** The private key of the client certificate. */
  readonly key?: string;
}

/** Set to 1, it allows to send an API key without TLS to another machine. */
const ALLOW_PLAINTEXT_ENV = "SENTINEL_ALLOW_PLAINTEXT";

/** What connections carry besides calls. */
export interface Secrets {
  readonly tls?: TlsConfig | undefined;
  readonly credential?: string | undefined;
}

/**
 * The URLs of the servers.
 *
 * @throws InvalidArgumentError when an address or the combination with `tls` is not valid, and when an API
 * key would be sent to another machine without TLS.
 */
export function parseEndpoints(texts: readonly string[], { tls, credential }: Secrets): string[] {
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    throw new InvalidArgumentError("invalid tls: set both cert and key, or neither");
  }
  const urls = texts.map(parseEndpoint);
  const plain = tls === undefined ? undefined : urls.find((url) => !url.startsWith("https:"));
  if (plain !== undefined) {
    throw new InvalidArgumentError(`invalid endpoint ${plain}: tls is set, but the scheme is not https://`);
  }
  const exposed = urls.find((url) => !url.startsWith("https:") && !isLoopback(new URL(url).hostname));
  if (credential !== undefined && exposed !== undefined && process.env[ALLOW_PLAINTEXT_ENV] !== "1") {
    throw new InvalidArgumentError(
      `invalid endpoint ${exposed}: an API key is set, but the connection would not be encrypted; use https://, ` +
        `or set ${ALLOW_PLAINTEXT_ENV}=1 on a network that encrypts on its own`,
    );
  }
  return urls;
}

function isLoopback(host: string): boolean {
  return host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host) || host === "localhost" || host.endsWith(".localhost");
}

/** Parses `http://host:port`, `https://host:port` or `host:port`, which means `http://`. */
export function parseEndpoint(text: string): string {
  const trimmed = text.trim();
  const invalid = (reason: string) => new InvalidArgumentError(`invalid endpoint ${JSON.stringify(text)}: ${reason}`);
  if (trimmed === "") throw invalid("the address is empty; expected http://host:port");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1];
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw invalid(`unknown scheme ${scheme}; expected http:// or https://`);
  }
  let url: URL;
  try {
    url = new URL(scheme === undefined ? `http://${trimmed}` : trimmed);
  } catch (cause) {
    throw invalid(String(cause instanceof Error ? cause.message : cause));
  }
  return url.origin;
}

/** Interceptors that add the credential to each call. */
export function credentialInterceptors(credential: string | undefined): Interceptor[] {
  if (credential === undefined) return [];
  return [
    (next) => (request) => {
      request.header.set("authorization", `Bearer ${credential}`);
      return next(request);
    },
  ];
}

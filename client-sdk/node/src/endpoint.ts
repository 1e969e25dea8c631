/** From what a person types to a URL, and what every call carries. */
import type { Interceptor } from "@connectrpc/connect";
import { InvalidArgumentError } from "./errors.js";

/**
 * Messages up to this size pass in both directions: the largest batch (4 MiB) and the largest
 * payload that a server may allow (16 MiB) with room for their envelopes.
 */
export const MAX_MESSAGE_BYTES = 20 * 1024 * 1024;

/** Whom to trust over `https://`, and who this program is. Each in PEM. */
export interface Tls {
  /** Who signed the certificate of the server. Default: those that Node.js trusts. */
  readonly ca?: string;
  /** A certificate for a server that lets in only who has one. Needs `key`. */
  readonly cert?: string;
  readonly key?: string;
}

/** The servers' URLs, when they fit what is said of TLS. */
export function parseEndpoints(texts: readonly string[], tls: Tls | undefined): string[] {
  if ((tls?.cert === undefined) !== (tls?.key === undefined)) {
    throw new InvalidArgumentError("tls: cert and key belong together");
  }
  const urls = texts.map(parseEndpoint);
  const plain = tls === undefined ? undefined : urls.find((url) => !url.startsWith("https:"));
  if (plain !== undefined) throw new InvalidArgumentError(`tls is said, but ${plain} is in the clear; expected https://`);
  return urls;
}

/** Accepts `http://host:port`, `https://host:port` and `host:port`, which is in the clear. */
export function parseEndpoint(text: string): string {
  const trimmed = text.trim();
  const invalid = (why: string) => new InvalidArgumentError(`invalid endpoint ${JSON.stringify(text)}: ${why}`);
  if (trimmed === "") throw invalid("it is empty; expected http://host:port");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1];
  if (scheme !== undefined && scheme !== "http" && scheme !== "https") {
    throw invalid(`scheme ${scheme} is not known; expected http:// or https://`);
  }
  let url: URL;
  try {
    url = new URL(scheme === undefined ? `http://${trimmed}` : trimmed);
  } catch (cause) {
    throw invalid(String(cause instanceof Error ? cause.message : cause));
  }
  return url.origin;
}

/** Shows the credential with each call. */
export function withCredential(credential: string | undefined): Interceptor[] {
  if (credential === undefined) return [];
  return [
    (next) => (request) => {
      request.header.set("authorization", `Bearer ${credential}`);
      return next(request);
    },
  ];
}

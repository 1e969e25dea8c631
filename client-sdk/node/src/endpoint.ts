/** From what a person types to a URL, and what every call carries. */
import type { Interceptor } from "@connectrpc/connect";
import { InvalidArgumentError } from "./errors.js";

/**
 * Messages up to this size pass in both directions: the largest batch (4 MiB) and the largest
 * payload that a server may allow (16 MiB) with room for their envelopes.
 */
export const MAX_MESSAGE_BYTES = 20 * 1024 * 1024;

/** Accepts `http://host:port` and `host:port`. */
export function parseEndpoint(text: string): string {
  const trimmed = text.trim();
  const invalid = (why: string) => new InvalidArgumentError(`invalid endpoint ${JSON.stringify(text)}: ${why}`);
  if (trimmed === "") throw invalid("it is empty; expected http://host:port");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(trimmed)?.[1];
  if (scheme === "https") throw invalid("TLS is not built in; end it in front of the server, use http://");
  if (scheme !== undefined && scheme !== "http") throw invalid(`scheme ${scheme} is not known; expected http://`);
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

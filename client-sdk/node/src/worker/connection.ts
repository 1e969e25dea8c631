/**
 * The HTTP/2 connection of one session stream. The connection pool of connect-node is not used: each
 * reconnect needs a new connection, larger flow control windows, and a connection that closes with its
 * stream.
 */
import * as http2 from "node:http2";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import type { TlsConfig } from "../endpoint.js";
import { TransportError } from "../errors.js";
import { TIMINGS } from "./constants.js";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

/** Holds a full batch of assignments. The HTTP/2 default of 64 KiB would need a round trip for each 64 KiB. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;

export class Connection implements SessionManager {
  private constructor(
    readonly authority: string,
    private readonly session: http2.ClientHttp2Session,
  ) {}

  /** @throws TransportError when the connection fails or is aborted by the signal. */
  static open(url: string, tls: TlsConfig | undefined, signal: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const settings = { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false };
      const session = http2.connect(url, { settings, ...tls });
      const fail = (reason: string) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        session.destroy();
        reject(new TransportError(`cannot reach ${url}: ${reason}`));
      };
      const abort = () => fail("stopped");
      const timer = setTimeout(
        () => fail(`no connection within ${TIMINGS.connectTimeoutMs} ms`),
        TIMINGS.connectTimeoutMs,
      );
      signal.addEventListener("abort", abort, { once: true });
      // The listener stays after the connection is open. The stream reports later errors.
      session.on("error", (error: Error) => fail(error.message));
      session.once("connect", () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
        resolve(new Connection(url, session));
      });
      if (signal.aborted) abort();
    });
  }

  request(
    method: string,
    path: string,
    headers: http2.OutgoingHttpHeaders,
    options: Omit<http2.ClientSessionRequestOptions, "signal">,
  ): Promise<http2.ClientHttp2Stream> {
    // Node derives `::1:7070` from an IPv6 address, which servers reject.
    const authority = { ":authority": new URL(this.authority).host };
    const request = { ...headers, ":method": method, ":path": path, ...authority };
    return Promise.resolve(this.session.request(request, options));
  }

  notifyResponseByteRead(): void {}

  /** Closes the connection and aborts its streams. */
  destroy(): void {
    this.session.destroy();
  }
}

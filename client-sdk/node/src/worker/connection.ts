/**
 * One HTTP/2 connection for one session. Not the pool of connect-node: a redial must be a new
 * connection, its windows must hold a batch of assignments, and it ends with its stream.
 */
import * as http2 from "node:http2";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import type { Tls } from "../endpoint.js";
import { TransportError } from "../errors.js";
import { TUNING } from "./tuning.js";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

/** The HTTP/2 default of 64 KiB would cost a round trip for each. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024;

export class Connection implements SessionManager {
  private constructor(
    readonly authority: string,
    private readonly session: http2.ClientHttp2Session,
  ) {}

  static open(url: string, tls: Tls | undefined, signal: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const settings = { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false };
      const session = http2.connect(url, { settings, ...tls });
      const fail = (why: string) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        session.destroy();
        reject(new TransportError(`can not reach ${url}: ${why}`));
      };
      const abort = () => fail("stopped");
      const timer = setTimeout(() => fail("no connection in time"), TUNING.connectTimeoutMs);
      signal.addEventListener("abort", abort, { once: true });
      // Also after the connection is open: what breaks it is seen by its stream.
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
    const request = { ...headers, ":method": method, ":path": path };
    return Promise.resolve(this.session.request(request, options));
  }

  notifyResponseByteRead(): void {}

  /** Ends it under whatever still runs on it. */
  destroy(): void {
    this.session.destroy();
  }
}

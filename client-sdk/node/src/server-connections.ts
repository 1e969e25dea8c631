/** The connections of a client to the servers of one cluster. Requests go to one server at a time. */
import type * as http2 from "node:http2";
import { Code } from "@connectrpc/connect";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import { schemeMismatch } from "./diagnose.js";
import type { TlsConfig } from "./endpoint.js";
import { ClientClosedError, TransportError } from "./errors.js";
import { Http2Connection } from "./http2-connection.js";

type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

const UNAVAILABLE = String(Code.Unavailable);

/** Sends requests to the current server. When it is not available, the next one becomes the current one. */
export class ServerConnections implements SessionManager {
  /** The base URL of the transport. Requests can go to other servers. */
  readonly authority: string;
  readonly #connections: readonly Http2Connection[];
  readonly #tls: TlsConfig | undefined;
  /** Servers that have sent a response, so that their scheme is right. */
  readonly #answered = new Set<Http2Connection>();
  #current = 0;
  #isClosed = false;

  constructor(urls: readonly string[], tls: TlsConfig | undefined) {
    this.#connections = urls.map((url) => new Http2Connection(url, tls));
    this.#tls = tls;
    this.authority = urls[0] ?? "";
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  async request(method: string, path: string, headers: http2.OutgoingHttpHeaders): Promise<http2.ClientHttp2Stream> {
    if (this.#isClosed) throw new ClientClosedError();
    const connection = this.#connection();
    try {
      // Node derives `::1:7070` from an IPv6 address, which servers reject.
      const authority = new URL(connection.url).host;
      const stream = await connection.request({
        ...headers,
        ":method": method,
        ":path": path,
        ":authority": authority,
      });
      this.#observe(connection, stream);
      return stream;
    } catch (error) {
      this.#failed(connection);
      throw error;
    }
  }

  notifyResponseByteRead(): void {}

  /** Closes all connections and fails their streams; later requests fail. */
  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections) connection.destroy(new ClientClosedError());
  }

  /** A better error if no request can succeed, because the scheme of an endpoint is wrong. */
  async explain(): Promise<TransportError | undefined> {
    for (const connection of this.#connections) {
      if (this.#answered.has(connection)) continue;
      const reason = await schemeMismatch(connection.url, this.#tls);
      if (reason !== undefined) return new TransportError(reason);
    }
    return undefined;
  }

  #connection(): Http2Connection {
    return this.#connections[this.#current % this.#connections.length]!;
  }

  /** Calls that failed at the same time move on by one server only. */
  #failed(connection: Http2Connection): void {
    if (this.#connection() === connection) this.#current += 1;
  }

  #observe(connection: Http2Connection, stream: http2.ClientHttp2Stream): void {
    const status = (headers: http2.IncomingHttpHeaders) => {
      if (headers["grpc-status"] === UNAVAILABLE) this.#failed(connection);
    };
    stream.once("response", (headers) => {
      this.#answered.add(connection);
      status(headers);
    });
    stream.once("trailers", status);
    stream.once("close", () => {
      if (stream.session === undefined || stream.session.destroyed) this.#failed(connection);
    });
  }
}

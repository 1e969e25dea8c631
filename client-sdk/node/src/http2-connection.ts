/**
 * The HTTP/2 connection to one server, which is opened again when it was lost. The session manager of connect-node
 * is not used: its ping timer can outlive the session and then ends the process with an uncaught exception.
 */
import * as http2 from "node:http2";
import type { TlsConfig } from "./endpoint.js";
import { TransportError } from "./errors.js";

const CONNECT_TIMEOUT_MS = 5_000;
/** With these values a half-open connection is detected within 8 s. */
const PING_INTERVAL_MS = 5_000;
const PING_TIMEOUT_MS = 3_000;
/** After this long without a ping this process was suspended, so that the server may have dropped the connection. */
const SUSPENDED_MS = 4 * PING_INTERVAL_MS;
const WINDOW_BYTES = 4 * 1024 * 1024;

export class Http2Connection {
  /** The current session, or the one that is being opened. */
  #session: Promise<OpenSession> | undefined;

  constructor(
    readonly url: string,
    private readonly tls: TlsConfig | undefined,
  ) {}

  /** @throws TransportError when the connection cannot be opened. */
  async request(headers: http2.OutgoingHttpHeaders): Promise<http2.ClientHttp2Stream> {
    for (;;) {
      const session = await this.#ready();
      const stream = session.request(headers);
      if (stream !== undefined) return stream;
      // It was closed in the meantime; another one is opened.
    }
  }

  /** Closes the connection and fails its streams. */
  destroy(reason: Error): void {
    const session = this.#session;
    this.#session = undefined;
    session?.then((open) => open.destroy(reason)).catch(() => {});
  }

  async #ready(): Promise<OpenSession> {
    const session = await (this.#session ?? this.#open());
    if (session.isUsable()) return session;
    return this.#open();
  }

  #open(): Promise<OpenSession> {
    const opening = OpenSession.open(this.url, this.tls);
    this.#session = opening;
    opening.catch(() => {
      if (this.#session === opening) this.#session = undefined;
    });
    return opening;
  }
}

class OpenSession {
  #streams = 0;
  #aliveMs = performance.now();
  #isGoingAway = false;
  readonly #pings: NodeJS.Timeout;

  private constructor(private readonly session: http2.ClientHttp2Session) {
    session.setLocalWindowSize(WINDOW_BYTES);
    // Without open streams the process may exit.
    session.unref();
    this.#pings = setInterval(() => this.#ping(), PING_INTERVAL_MS).unref();
    session.once("close", () => clearInterval(this.#pings));
    session.once("goaway", () => {
      this.#isGoingAway = true;
      // Open streams finish first.
      session.close();
    });
  }

  /** @throws TransportError */
  static open(url: string, tls: TlsConfig | undefined): Promise<OpenSession> {
    return new Promise((resolve, reject) => {
      const settings = { initialWindowSize: WINDOW_BYTES, enablePush: false };
      const session = http2.connect(url, { settings, ...tls });
      const fail = (reason: string, cause?: Error) => {
        clearTimeout(timer);
        session.destroy();
        reject(new TransportError(`cannot reach ${url}: ${reason}`, { cause }));
      };
      const timer = setTimeout(() => fail(`no connection within ${CONNECT_TIMEOUT_MS} ms`), CONNECT_TIMEOUT_MS);
      // These listeners stay after the connection is open. The streams report later errors.
      session.on("error", (error: Error) => fail(error.message, error));
      session.once("close", () => fail("the connection was closed"));
      session.once("connect", () => {
        clearTimeout(timer);
        if (session.destroyed) fail("the connection was closed");
        else resolve(new OpenSession(session));
      });
    });
  }

  isUsable(): boolean {
    if (this.session.destroyed || this.session.closed || this.#isGoingAway) return false;
    if (performance.now() - this.#aliveMs < SUSPENDED_MS) return true;
    this.session.close();
    return false;
  }

  /** `undefined` when the session was closed. */
  request(headers: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream | undefined {
    let stream: http2.ClientHttp2Stream;
    try {
      stream = this.session.request(headers);
    } catch (error) {
      if (this.isUsable()) throw error;
      return undefined;
    }
    this.#streams += 1;
    this.session.ref();
    stream.once("close", () => {
      this.#streams -= 1;
      if (this.#streams === 0 && !this.session.destroyed) this.session.unref();
    });
    return stream;
  }

  destroy(reason: Error): void {
    this.session.destroy(reason, http2.constants.NGHTTP2_CANCEL);
  }

  #ping(): void {
    const { session } = this;
    if (session.destroyed) return;
    this.#aliveMs = performance.now();
    const fail = () => session.destroy(new Error("the server does not answer pings"));
    const timer = setTimeout(fail, PING_TIMEOUT_MS).unref();
    // The error of a ping is that of the session, whose streams report it.
    session.ping(() => clearTimeout(timer));
  }
}

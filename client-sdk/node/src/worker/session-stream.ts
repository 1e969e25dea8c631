/** One session stream to one server: Hello, Welcome, the two directions, Bye. */
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { sleep } from "../backoff.js";
import { credentialInterceptors, MAX_MESSAGE_BYTES } from "../endpoint.js";
import { ProtocolError, TransportError } from "../errors.js";
import {
  type Hello,
  type SessionRequest,
  SessionRequestSchema,
  type SessionResponse,
  type Welcome,
  WorkerService,
} from "../gen/sentinel/workers/v1/worker_service_pb.js";
import { fromGrpcError } from "../grpc-error.js";
import type { Connection } from "./connection.js";
import { TIMINGS } from "./constants.js";

export class SessionStream {
  readonly #abort = new AbortController();
  readonly #responses: AsyncIterator<SessionResponse>;
  #byeReason: string | undefined;
  #isWelcomed = false;
  #wake: (() => void) | undefined;
  #isWakePending = false;

  /** `nextFrame` returns the next due frame. It is called only when the connection accepts one. */
  constructor(
    private readonly connection: Connection,
    credential: string | undefined,
    hello: Hello,
    nextFrame: () => SessionRequest | undefined,
  ) {
    const transport = createGrpcTransport({
      baseUrl: connection.authority,
      sessionManager: connection,
      readMaxBytes: MAX_MESSAGE_BYTES,
      writeMaxBytes: MAX_MESSAGE_BYTES,
      interceptors: credentialInterceptors(credential),
    });
    const client = createClient(WorkerService, transport);
    const { signal } = this.#abort;
    this.#responses = client.session(this.#requests(hello, nextFrame), { signal })[Symbol.asyncIterator]();
  }

  /** Waits for the response to Hello. */
  async welcome(): Promise<Welcome> {
    const timer = setTimeout(() => this.#abort.abort(), TIMINGS.helloTimeoutMs);
    try {
      const first = await this.#responses.next();
      if (first.done) throw new TransportError("the stream closed before Welcome");
      const { frame } = first.value;
      if (frame.case !== "welcome") throw new ProtocolError("the first frame is not Welcome");
      this.#isWelcomed = true;
      return frame.value;
    } catch (cause) {
      this.close();
      const error = fromGrpcError(cause);
      // An aborted stream can fail with several gRPC codes; only these errors have a specific message.
      const isSpecific = ["ProtocolError", "TransportError", "ApiError"].includes(error.name);
      if (isSpecific || !this.#abort.signal.aborted) throw error;
      throw new TransportError(`no Welcome within ${TIMINGS.helloTimeoutMs} ms`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next frame, or `undefined` when the server has closed the stream. */
  async read(): Promise<SessionResponse | undefined> {
    try {
      const next = await this.#responses.next();
      return next.done ? undefined : next.value;
    } catch (error) {
      throw fromGrpcError(error);
    }
  }

  /** Sends due frames at the end of this turn of the event loop. */
  wake(): void {
    if (this.#isWakePending) return;
    this.#isWakePending = true;
    setImmediate(() => this.#wake?.());
  }

  /**
   * Sends Bye and reads until the server closes the stream, so that the connection is not closed before
   * the last frames are delivered.
   */
  async bye(reason: string): Promise<void> {
    this.#byeReason = reason;
    this.wake();
    const closed = (async () => {
      while ((await this.read()) !== undefined);
    })().catch(() => {});
    await Promise.race([closed, sleep(TIMINGS.byeTimeoutMs, this.#abort.signal)]);
    this.close();
  }

  /** Closes the connection at once. */
  close(): void {
    this.#abort.abort();
    this.connection.destroy();
    this.#wake?.();
  }

  async *#requests(hello: Hello, nextFrame: () => SessionRequest | undefined): AsyncGenerator<SessionRequest> {
    yield create(SessionRequestSchema, { frame: { case: "hello", value: hello } });
    while (!this.#abort.signal.aborted) {
      if (this.#byeReason !== undefined) {
        yield create(SessionRequestSchema, { frame: { case: "bye", value: { reason: this.#byeReason } } });
        return;
      }
      const frame = this.#isWelcomed ? nextFrame() : undefined;
      if (frame !== undefined) {
        yield frame;
        continue;
      }
      this.#isWakePending = false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

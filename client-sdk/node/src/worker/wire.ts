/** One stream to one server: opened, greeted, read and left. */
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { sleep } from "../backoff.js";
import { MAX_MESSAGE_BYTES, withCredential } from "../endpoint.js";
import { fromWire, ProtocolError, type SentinelError, TransportError } from "../errors.js";
import {
  type Hello,
  type SessionRequest,
  SessionRequestSchema,
  type SessionResponse,
  type Welcome,
  WorkerService,
} from "../gen/sentinel/workers/v1/worker_service_pb.js";
import type { Connection } from "./connection.js";
import { TUNING } from "./tuning.js";

export class Wire {
  readonly #abort = new AbortController();
  readonly #responses: AsyncIterator<SessionResponse>;
  #bye: string | undefined;
  #isGreeted = false;
  #wake: (() => void) | undefined;
  #isAwake = false;

  /** `next` makes the frame that is due, when there is room to send it. */
  constructor(
    private readonly connection: Connection,
    credential: string | undefined,
    hello: Hello,
    next: () => SessionRequest | undefined,
  ) {
    const transport = createGrpcTransport({
      baseUrl: connection.authority,
      sessionManager: connection,
      readMaxBytes: MAX_MESSAGE_BYTES,
      writeMaxBytes: MAX_MESSAGE_BYTES,
      interceptors: withCredential(credential),
    });
    const client = createClient(WorkerService, transport);
    const { signal } = this.#abort;
    this.#responses = client.session(this.#frames(hello, next), { signal })[Symbol.asyncIterator]();
  }

  /** The server's answer to Hello. */
  async welcome(): Promise<Welcome> {
    const timer = setTimeout(() => this.#abort.abort(), TUNING.helloTimeoutMs);
    try {
      const first = await this.#responses.next();
      if (first.done) throw new TransportError("the stream ended before Welcome");
      const { frame } = first.value;
      if (frame.case !== "welcome") throw new ProtocolError("the first frame is not Welcome");
      this.#isGreeted = true;
      return frame.value;
    } catch (error) {
      this.cut();
      if (this.#abort.signal.aborted && !(error instanceof ProtocolError)) {
        const known = fromWire(error);
        if (known.name === "TransportError" || known.name === "ApiError") throw known;
        throw new TransportError(`no Welcome within ${TUNING.helloTimeoutMs} ms`, { cause: error });
      }
      throw fromWire(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next frame; `undefined` at the end of the stream. */
  async read(): Promise<SessionResponse | undefined> {
    try {
      const next = await this.#responses.next();
      return next.done ? undefined : next.value;
    } catch (error) {
      throw fromWire(error) satisfies SentinelError;
    }
  }

  /** There may be a frame to send. What else happens in this turn travels with it. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    setImmediate(() => this.#wake?.());
  }

  /** Says Bye, then reads to the end, so that the connection is not cut under the last frames. */
  async bye(reason: string): Promise<void> {
    this.#bye = reason;
    this.wake();
    const drained = (async () => {
      while ((await this.read()) !== undefined);
    })().catch(() => {});
    await Promise.race([drained, sleep(TUNING.byePatienceMs, this.#abort.signal)]);
    this.cut();
  }

  cut(): void {
    this.#abort.abort();
    this.connection.destroy();
    this.#wake?.();
  }

  async *#frames(hello: Hello, next: () => SessionRequest | undefined): AsyncGenerator<SessionRequest> {
    yield create(SessionRequestSchema, { frame: { case: "hello", value: hello } });
    while (!this.#abort.signal.aborted) {
      if (this.#bye !== undefined) {
        yield create(SessionRequestSchema, { frame: { case: "bye", value: { reason: this.#bye } } });
        return;
      }
      const frame = this.#isGreeted ? next() : undefined;
      if (frame !== undefined) {
        yield frame;
        continue;
      }
      this.#isAwake = false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

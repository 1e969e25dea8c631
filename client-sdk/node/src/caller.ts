/** Makes the calls of a client: connections, retries, timeouts and the conversion of errors. */
import type { DescService, Message } from "@bufbuild/protobuf";
import {
  createClient,
  type Interceptor,
  type Client as RpcClient,
  type CallOptions as RpcOptions,
} from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { linkedController } from "./abort.js";
import { sleep } from "./backoff.js";
import { credentialInterceptors, MAX_MESSAGE_BYTES, parseEndpoints, type TlsConfig } from "./endpoint.js";
import {
  ApiError,
  CallTimeoutError,
  ClientClosedError,
  InvalidArgumentError,
  type SentinelError,
  TransportError,
} from "./errors.js";
import { fromGrpcError } from "./grpc-error.js";
import { withJson } from "./json.js";
import { limitInterceptor } from "./permits.js";
import { CallRetry, RetryBudget } from "./retry.js";
import { ServerConnections } from "./server-connections.js";

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_DEADLINE_MS = 60_000;
/** The largest delay of a timer. */
const MAX_DEADLINE_MS = 2 ** 31 - 1;

export interface ClientOptions {
  /** The API key, sent as `authorization: Bearer <credential>`. */
  readonly credential?: string;
  /** The certificates of `https://` connections. */
  readonly tls?: TlsConfig;
  /** The actor that the audit log shows for calls that name none. At most 256 bytes. */
  readonly actor?: string;
  /** The limit of one RPC attempt of a call. Default 30,000, range 1..2^31-1. */
  readonly timeoutMs?: number;
  /** The limit of a call including its retries. Default 60,000, range 1..2^31-1. */
  readonly deadlineMs?: number;
}

export interface CallOptions {
  /** Aborts the call. It may have been executed. */
  readonly signal?: AbortSignal;
  /** The limit of this call including its retries. Default: that of the client. */
  readonly deadlineMs?: number;
  /**
   * The idempotency key, which makes it safe to repeat this call from another process. By default the
   * client generates one, which covers only its own retries. 1..256 bytes.
   */
  readonly requestId?: string;
  /** The actor for the audit log. Default: that of the client. */
  readonly actor?: string;
}

export class Caller {
  readonly #options: ClientOptions;
  readonly #connections: ServerConnections;
  readonly #budget = new RetryBudget();
  readonly #transport: ReturnType<typeof createGrpcTransport>;

  /** @throws InvalidArgumentError when an endpoint or an option is not valid. */
  constructor(endpoint: string | readonly string[], options: ClientOptions) {
    const urls = parseEndpoints(typeof endpoint === "string" ? [endpoint] : endpoint, options);
    if (urls.length === 0) throw new InvalidArgumentError("invalid endpoint: the list is empty");
    for (const field of ["timeoutMs", "deadlineMs"] as const) checkMs(field, options[field]);
    this.#options = options;
    this.#connections = new ServerConnections(urls, options.tls);
    this.#transport = createGrpcTransport({
      baseUrl: this.#connections.authority,
      sessionManager: this.#connections,
      readMaxBytes: MAX_MESSAGE_BYTES,
      writeMaxBytes: MAX_MESSAGE_BYTES,
      interceptors: [jsonInterceptor, limitInterceptor(), ...credentialInterceptors(options.credential)],
    });
  }

  service<S extends DescService>(service: S): RpcClient<S> {
    return createClient(service, this.#transport);
  }

  /** Closes the connections and fails pending calls, so that the process can exit. */
  close(): void {
    this.#connections.close();
  }

  actor(options: CallOptions): string {
    return options.actor ?? this.#options.actor ?? "";
  }

  /** Makes a call and repeats it until its deadline, as `CallRetry` says. Only for calls that are safe to repeat. */
  async call<T>(options: CallOptions, call: (rpcOptions: RpcOptions) => Promise<T>): Promise<T> {
    checkMs("deadlineMs", options.deadlineMs);
    const deadlineMs = performance.now() + (options.deadlineMs ?? this.#options.deadlineMs ?? DEFAULT_DEADLINE_MS);
    const { controller, release } = linkedController(options.signal);
    const timer = setTimeout(() => controller.abort(), deadlineMs - performance.now());
    try {
      return await this.#repeat(options.signal, deadlineMs, controller.signal, call);
    } finally {
      clearTimeout(timer);
      release();
    }
  }

  /** `end` is aborted by the signal of the caller and at the deadline. */
  async #repeat<T>(
    signal: AbortSignal | undefined,
    deadlineMs: number,
    end: AbortSignal,
    call: (rpcOptions: RpcOptions) => Promise<T>,
  ): Promise<T> {
    const retry = new CallRetry(deadlineMs);
    let reason: SentinelError | undefined;
    for (let isFirst = true; ; isFirst = false) {
      const result = await this.#attempt(retry.remainingMs(performance.now()), signal, call);
      if ("response" in result) return result.response;
      const { error } = result;
      if (isFirst && error instanceof TransportError) {
        const explained = await this.#connections.explain();
        if (explained !== undefined) throw explained;
      }
      const delayMs = retry.nextDelayMs(error, performance.now(), Math.random());
      // A last attempt that the deadline has cut off says less than the error of an earlier one.
      if (!(error instanceof CallTimeoutError)) reason = error;
      if (delayMs === undefined) throw reason ?? error;
      await sleep(delayMs, end);
      await this.#budget.acquire(end);
      if (this.#connections.isClosed) throw new ClientClosedError();
      signal?.throwIfAborted();
      if (end.aborted || retry.remainingMs(performance.now()) < 1) throw reason ?? error;
    }
  }

  /** One RPC attempt. An error that the caller caused by its signal is thrown. */
  async #attempt<T>(
    remainingMs: number,
    signal: AbortSignal | undefined,
    call: (rpcOptions: RpcOptions) => Promise<T>,
  ): Promise<{ response: T } | { error: SentinelError }> {
    signal?.throwIfAborted();
    const timeoutMs = Math.max(1, Math.ceil(Math.min(this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS, remainingMs)));
    const { controller, release } = linkedController(signal);
    const started = performance.now();
    try {
      const response = await call({ timeoutMs, signal: controller.signal });
      this.#budget.recordResponse();
      return { response };
    } catch (cause) {
      signal?.throwIfAborted();
      if (this.#connections.isClosed) return { error: new ClientClosedError({ cause }) };
      const error = fromGrpcError(cause);
      const isTimeout = performance.now() - started >= timeoutMs && !(error instanceof InvalidArgumentError);
      // The server saw the end of the timeout first: a cancelled stream, or a status of its own choice.
      if (isTimeout && !(error instanceof CallTimeoutError)) return { error: timeoutError(cause) };
      if (error instanceof ApiError) this.#budget.recordResponse();
      return { error };
    } finally {
      release();
    }
  }

  /** Reads a stream once, without retries. */
  async *stream<T>(
    signal: AbortSignal | undefined,
    call: (rpcOptions: RpcOptions) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    const { controller, release } = linkedController(signal);
    try {
      yield* call({ signal: controller.signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw fromGrpcError(error);
    } finally {
      release();
    }
  }
}

function timeoutError(cause: unknown): CallTimeoutError {
  return new CallTimeoutError("the server did not respond within the timeout", { cause });
}

/** Adds `toJSON` to the messages that calls return. */
const jsonInterceptor: Interceptor = (next) => async (request) => {
  const response = await next(request);
  const { output } = response.method;
  if (!response.stream) return { ...response, message: withJson(output, response.message as Message) as never };
  const messages = response.message as AsyncIterable<Message>;
  const withMethods = async function* () {
    for await (const message of messages) yield withJson(output, message);
  };
  return { ...response, message: withMethods() as never };
};

function checkMs(field: string, ms: number | undefined): void {
  if (ms === undefined || (Number.isFinite(ms) && ms >= 1 && ms <= MAX_DEADLINE_MS)) return;
  throw new InvalidArgumentError(`invalid ${field}: ${String(ms)} ms; allowed are 1..${MAX_DEADLINE_MS}`);
}

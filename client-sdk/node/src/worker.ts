/** The worker runtime: runs handlers for the jobs that a server assigns. */
import { Worker as Thread } from "node:worker_threads";
import type { Code } from "@connectrpc/connect";
import { onAbort } from "./abort.js";
import type { TlsConfig } from "./endpoint.js";
import { ApiError, SentinelError } from "./errors.js";
import { toSessionConfig } from "./worker/config.js";
import { Hooks, type OnEvent, type OnLog } from "./worker/events.js";
import { JobContext } from "./worker/job-context.js";
import { outcomeOf } from "./worker/outcome.js";
import { THREAD_FILE } from "./worker/thread-file.js";
import type {
  FromSession,
  HandlerOutcome,
  SessionConfig,
  SessionFailure,
  StartAttempt,
  ToSession,
} from "./worker/thread-messages.js";

export type { AttemptFailure, WorkerEvent } from "./worker/events.js";
export { CheckpointError, JobContext, OutputError } from "./worker/job-context.js";
export { HandlerError, type HandlerErrorOptions, Outcome } from "./worker/outcome.js";

/**
 * Runs one attempt. The returned value is the result: bytes and text unchanged, `undefined` as empty,
 * anything else as JSON, at most 1 MiB. An `Outcome` snoozes, releases or cancels the job instead. A
 * thrown error is a failure, which is retryable unless it is a `HandlerError` with `retryable: false`.
 */
export type Handler = (job: JobContext) => unknown;

/** A handler with a declaration of its kind, which the panel and `sentinel` show. */
export interface DescribedHandler {
  readonly handler: Handler;
  /** At most 1024 bytes. */
  readonly description?: string;
  /** The JSON Schema of the payload: an object, or its text. At most 16 KiB. Payloads are not checked against it. */
  readonly inputSchema?: string | object;
}

export interface WorkerOptions {
  /**
   * The servers of one cluster: `https://host:port`, `http://host:port` or `host:port`. When one is not
   * reachable, the next one is used.
   */
  readonly endpoint: string | readonly string[];
  /** The queues to take jobs from. 1..100. Default `default`. */
  readonly queues?: readonly string[];
  /** The handlers by kind. 1..1000. */
  readonly handlers: Readonly<Record<string, Handler | DescribedHandler>>;
  /** The limit of jobs that run at the same time. Default 64, range 1..100,000. */
  readonly concurrency?: number;
  /**
   * The limit of the total payload bytes of running jobs. A soft limit: the last job may exceed it.
   * Default 64 MiB; 0 means unlimited.
   */
  readonly maxRunningPayloadBytes?: number;
  /** The labels of this worker. At most 16. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The name of this process. 1..128 bytes. Default `<host>-<pid>`. */
  readonly instance?: string;
  /** The version of the program. At most 128 bytes. */
  readonly buildVersion?: string;
  /** How long running jobs may continue after a shutdown was requested. Default 30,000. */
  readonly drainTimeoutMs?: number;
  /** The API key, sent as `authorization: Bearer <credential>`. It needs the role WORKER. */
  readonly credential?: string;
  /** The certificates of `https://` connections. */
  readonly tls?: TlsConfig;
  /**
   * Receives log messages about the session and about failed attempts, with their stack. Default: warnings are
   * written to `console.warn`.
   */
  readonly onLog?: OnLog;
  /**
   * Receives the events of the worker. It runs on the thread of the handlers; an exception or a rejected promise
   * is logged and has no other effect.
   */
  readonly onEvent?: OnEvent;
}

export interface RunOptions {
  /** Requests a shutdown when aborted. */
  readonly signal?: AbortSignal;
  /**
   * The process signals that request a shutdown. Default SIGTERM and SIGINT. A second signal has its
   * default effect.
   */
  readonly shutdownSignals?: readonly NodeJS.Signals[];
}

/** A worker. Its session runs on a separate thread, its handlers on the caller's. */
export class Worker {
  readonly #config: SessionConfig;
  readonly #handlers = new Map<string, Handler>();
  readonly #hooks: Hooks;
  #run: Run | undefined;

  /** @throws InvalidArgumentError when an option is not valid. */
  constructor(options: WorkerOptions) {
    for (const [kind, handler] of Object.entries(options.handlers)) {
      this.#handlers.set(kind, typeof handler === "function" ? handler : handler.handler);
    }
    this.#config = toSessionConfig(options);
    this.#hooks = new Hooks(options.onEvent, options.onLog);
  }

  /**
   * Runs jobs until a shutdown is requested, then drains: takes no new jobs, gives running ones
   * `drainTimeoutMs` to finish, and releases the rest. The worker reconnects without a limit.
   *
   * @throws ApiError when a server rejects the first Hello, for example because a queue does not exist.
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#run !== undefined) throw new SentinelError("the worker is already running");
    const run = new Run(this.#config, this.#handlers, this.#hooks);
    this.#run = run;
    const drain = () => run.drain();
    const signals = options.shutdownSignals ?? ["SIGTERM", "SIGINT"];
    for (const signal of signals) process.once(signal, drain);
    const release = onAbort(options.signal, drain);
    try {
      await run.finished();
    } finally {
      for (const signal of signals) process.off(signal, drain);
      release();
      this.#run = undefined;
      await run.close();
    }
  }
}

/**
 * One call of `Worker.run`, with its own session thread and attempts. A handler can outlive it; its
 * messages do not reach the next run, where attempt ids start again.
 */
class Run {
  readonly #jobs = new Map<number, JobContext>();
  readonly #thread: Thread;
  #outbox: ToSession[] = [];

  constructor(
    private readonly config: SessionConfig,
    private readonly handlers: ReadonlyMap<string, Handler>,
    private readonly hooks: Hooks,
  ) {
    this.#thread = new Thread(THREAD_FILE, { workerData: config });
  }

  /** Resolves when the session has closed. */
  finished(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#thread.on("message", (message: FromSession) => {
        if (message.type !== "closed") this.#receive(message);
        else if (message.error === undefined) resolve();
        else reject(toError(message.error));
      });
      this.#thread.on("error", reject);
      this.#thread.on("exit", () => reject(new SentinelError("the session thread exited unexpectedly")));
    });
  }

  drain(): void {
    this.#send({ type: "drain" }, true);
  }

  async close(): Promise<void> {
    for (const job of this.#jobs.values()) job.cancel();
    this.#jobs.clear();
    await this.#thread.terminate();
  }

  #receive(message: Exclude<FromSession, { type: "closed" }>): void {
    switch (message.type) {
      case "start":
        for (const attempt of message.attempts) void this.#runHandler(attempt);
        return;
      case "cancel":
        return this.#jobs.get(message.localId)?.cancel();
      case "abandon":
        // A running handler cannot be stopped; its result is ignored.
        this.#jobs.get(message.localId)?.cancel();
        this.#jobs.delete(message.localId);
        return;
      case "linesAccepted":
        return this.#jobs.get(message.localId)?.linesAccepted();
      case "checkpointResult":
        return this.#jobs.get(message.localId)?.checkpointResult(message.seq, message.result);
      case "outputResult":
        return this.#jobs.get(message.localId)?.outputResult(message.offset, message.result);
      case "log":
        return this.hooks.log(message.level, message.message);
      case "connected":
      case "disconnected":
        return this.hooks.event(message);
    }
  }

  async #runHandler(attempt: StartAttempt): Promise<void> {
    const { localId, kind } = attempt;
    const job = new JobContext(attempt, this.config.instance, (message, isUrgent) => this.#send(message, isUrgent));
    this.#jobs.set(localId, job);
    const startedAtMs = Date.now();
    const started = performance.now();
    const handler = this.handlers.get(kind);
    const { outcome, thrown } =
      handler === undefined ? { outcome: noHandler(kind), thrown: undefined } : await outcomeOf(() => handler(job));
    job.finish();
    if (this.#jobs.get(localId) !== job) return;
    this.#jobs.delete(localId);
    this.#send({ type: "finished", localId, startedAtMs, outcome });
    const durationMs = performance.now() - started;
    if (outcome.type === "succeed") this.hooks.event({ type: "succeeded", job, durationMs });
    // A handler that stops because it was asked to does not fail.
    else if (outcome.type === "fail" && !job.signal.aborted) {
      const { message, code, retryable, detail } = outcome;
      this.hooks.event({ type: "failed", job, durationMs, failure: { message, code, retryable, detail }, thrown });
    }
  }

  /** Batches the messages of one turn of the event loop. An urgent message is sent at once. */
  #send(message: ToSession, isUrgent = false): void {
    this.#outbox.push(message);
    if (isUrgent) this.#flush();
    else if (this.#outbox.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    if (this.#outbox.length > 0) this.#thread.postMessage(this.#outbox);
    this.#outbox = [];
  }
}

/** A server assigns only declared kinds. If it does not, another worker may have the handler. */
function noHandler(kind: string): HandlerOutcome {
  const message = `this worker has no handler for kind ${JSON.stringify(kind)}`;
  return { type: "fail", message, code: "NO_HANDLER", retryable: true, nextDelayMs: undefined, detail: "" };
}

function toError(failure: SessionFailure): SentinelError {
  if (failure.code === undefined) return new SentinelError(failure.message);
  return new ApiError(failure.message, failure.code as Code, failure.reason, {}, [], undefined);
}

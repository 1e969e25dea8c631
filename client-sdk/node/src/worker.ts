/** The worker runtime: runs handlers for the jobs that a server assigns. */
import { Worker as Thread } from "node:worker_threads";
import type { Code } from "@connectrpc/connect";
import { onAbort } from "./abort.js";
import { ApiError, SentinelError } from "./errors.js";
import { toSessionConfig } from "./worker/config.js";
import { Hooks } from "./worker/events.js";
import { JobContext } from "./worker/job-context.js";
import type { Handler, WorkerOptions } from "./worker/options.js";
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
export type { DescribedHandler, Handler, WorkerOptions } from "./worker/options.js";
export { HandlerError, type HandlerErrorOptions, Outcome } from "./worker/outcome.js";

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
        for (const attempt of message.attempts) this.#start(attempt);
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

  /** Starts a handler in a turn of its own: one that does not yield must not delay the outcome of another. */
  #start(attempt: StartAttempt): void {
    const job = new JobContext(attempt, this.config.instance, (message, isUrgent) => this.#send(message, isUrgent));
    this.#jobs.set(attempt.localId, job);
    setImmediate(() => {
      if (this.#jobs.get(attempt.localId) === job) void this.#runHandler(attempt, job);
    });
  }

  async #runHandler(attempt: StartAttempt, job: JobContext): Promise<void> {
    const { localId, kind } = attempt;
    // At once: the handler may not yield for long.
    this.#send({ type: "started", localId }, true);
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

/** The worker runtime: handlers by kind, run for the jobs that a server assigns. */
import { hostname } from "node:os";
import { Worker as Thread } from "node:worker_threads";
import type { Code } from "@connectrpc/connect";
import { parseEndpoints, type Tls } from "./endpoint.js";
import { ApiError, InvalidArgumentError, SentinelError } from "./errors.js";
import { cut } from "./text.js";
import { Job } from "./worker/context.js";
import type { FromSession, SessionFailure, Setup, Start, ToSession } from "./worker/messages.js";
import { failed, succeeded } from "./worker/outcome.js";

export { CheckpointError, Job, OutputError } from "./worker/context.js";
export { HandlerError, type HandlerErrorOptions, Outcome } from "./worker/outcome.js";

const MAX_NAME_BYTES = 128;

/**
 * Runs one attempt. What it returns is the result: bytes and text as they are, nothing as nothing,
 * all else as JSON, at most 1 MiB; or an `Outcome`. What it throws is a failure, retryable unless it
 * is a `HandlerError` that says otherwise.
 */
export type Handler = (job: Job) => unknown;

/** A handler with a description for people, at most 1024 bytes. */
export interface DescribedHandler {
  readonly run: Handler;
  readonly description: string;
}

type OnEvent = (text: string, isWarning: boolean) => void;

export interface WorkerOptions {
  /** `https://host:port`, `http://host:port` or `host:port`; several are servers of one installation, tried in turn. */
  readonly endpoint: string | readonly string[];
  /** Queues to take jobs from. 1..100. Default `default`. */
  readonly queues?: readonly string[];
  /** By kind. 1..1000. */
  readonly handlers: Readonly<Record<string, Handler | DescribedHandler>>;
  /** Jobs that run at the same time. Default 64, range 1..100,000. */
  readonly concurrency?: number;
  /** Payload bytes of the running jobs, a soft bound: one job at most goes beyond. Default 64 MiB. 0: no bound. */
  readonly payloadBudgetBytes?: number;
  /** For jobs that require labels. At most 16. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Name of this process for people. 1..128 bytes. Default `<host>-<pid>`. */
  readonly instance?: string;
  /** Version of the program. At most 128 bytes. */
  readonly build?: string;
  /** How long running jobs may go on after the shutdown was asked for. Default 30,000. */
  readonly drainTimeoutMs?: number;
  /** Sent as `authorization: Bearer <credential>`. */
  readonly credential?: string;
  /** For `https://`. */
  readonly tls?: Tls;
  /** Told when sessions open and break. Default: warnings go to `console.warn`. */
  readonly onEvent?: OnEvent;
}

export interface RunOptions {
  /** Begins the drain when aborted. */
  readonly signal?: AbortSignal;
  /** Signals of the process that begin the drain. Default SIGTERM and SIGINT; a second one ends it as usual. */
  readonly drainOn?: readonly NodeJS.Signals[];
}

/** A fleet member. The session runs on a thread of its own, handlers on the caller's. */
export class Worker {
  readonly #setup: Setup;
  readonly #handlers = new Map<string, Handler>();
  readonly #onEvent: OnEvent;
  #run: Run | undefined;

  /** @throws InvalidArgumentError */
  constructor(options: WorkerOptions) {
    for (const [kind, handler] of Object.entries(options.handlers)) {
      this.#handlers.set(kind, typeof handler === "function" ? handler : handler.run);
    }
    this.#setup = setupOf(options);
    this.#onEvent = options.onEvent ?? ((text, isWarning) => isWarning && console.warn(`sentinel: ${text}`));
  }

  /**
   * Runs jobs until it is told to stop and the drain is over: no new jobs are taken, running ones
   * get `drainTimeoutMs`, the rest is handed back. A server that can not be reached is dialled for
   * ever.
   *
   * @throws ApiError when a server refuses the first Hello, such as an unknown queue.
   */
  async run(options: RunOptions = {}): Promise<void> {
    if (this.#run !== undefined) throw new SentinelError("the worker runs already");
    const run = new Run(this.#setup, this.#handlers, this.#onEvent);
    this.#run = run;
    const drain = () => run.drain();
    const signals = options.drainOn ?? ["SIGTERM", "SIGINT"];
    // Once: who sends a second one means it.
    for (const signal of signals) process.once(signal, drain);
    if (options.signal?.aborted) drain();
    else options.signal?.addEventListener("abort", drain, { once: true });
    try {
      await run.over();
    } finally {
      for (const signal of signals) process.off(signal, drain);
      options.signal?.removeEventListener("abort", drain);
      this.#run = undefined;
      await run.end();
    }
  }
}

/** A run has jobs and a thread of its own: a handler may outlive it, and numbers begin anew with each. */
class Run {
  readonly #jobs = new Map<number, Job>();
  readonly #thread: Thread;
  #outbox: ToSession[] = [];

  constructor(
    private readonly setup: Setup,
    private readonly handlers: ReadonlyMap<string, Handler>,
    private readonly onEvent: OnEvent,
  ) {
    this.#thread = new Thread(new URL("./worker/session-thread.js", import.meta.url), { workerData: setup });
  }

  /** Until the session has ended. */
  over(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#thread.on("message", (message: FromSession) => {
        if (message.type !== "over") this.#receive(message);
        else if (message.error === undefined) resolve();
        else reject(revive(message.error));
      });
      this.#thread.on("error", reject);
      this.#thread.on("exit", () => reject(new SentinelError("the session's thread ended")));
    });
  }

  drain(): void {
    this.#send({ type: "drain" }, true);
  }

  async end(): Promise<void> {
    for (const job of this.#jobs.values()) job.cancel();
    this.#jobs.clear();
    await this.#thread.terminate();
  }

  #receive(message: Exclude<FromSession, { type: "over" }>): void {
    switch (message.type) {
      case "start":
        for (const start of message.starts) void this.#handle(start);
        return;
      case "cancel":
        return this.#jobs.get(message.no)?.cancel();
      case "abandon":
        // It can not be stopped from outside; it runs on, and nobody listens.
        this.#jobs.get(message.no)?.cancel();
        this.#jobs.delete(message.no);
        return;
      case "tookLines":
        return this.#jobs.get(message.no)?.tookLines();
      case "checkpointed":
        return this.#jobs.get(message.no)?.checkpointed(message.seq, message.answer);
      case "handed":
        return this.#jobs.get(message.no)?.handed(message.offset, message.answer);
      case "event":
        return this.onEvent(message.text, message.isWarning);
    }
  }

  async #handle(start: Start): Promise<void> {
    const job = new Job(start, this.setup.instance, (message, atOnce) => this.#send(message, atOnce));
    this.#jobs.set(start.no, job);
    const startedAtMs = Date.now();
    const handler = this.handlers.get(start.kind);
    const ended = handler === undefined ? noHandler(start.kind) : await settle(handler, job);
    job.end();
    if (this.#jobs.get(start.no) !== job) return;
    this.#jobs.delete(start.no);
    this.#send({ type: "finished", no: start.no, startedAtMs, ended });
  }

  /** What is said in one turn crosses to the session's thread together; after its end it is lost. */
  #send(message: ToSession, atOnce = false): void {
    this.#outbox.push(message);
    if (atOnce) this.#flush();
    else if (this.#outbox.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    if (this.#outbox.length > 0) this.#thread.postMessage(this.#outbox);
    this.#outbox = [];
  }
}

async function settle(handler: Handler, job: Job) {
  try {
    return succeeded(await handler(job));
  } catch (error) {
    return failed(error);
  }
}

/** A server assigns only declared kinds; if one does not, another worker may know better. */
function noHandler(kind: string) {
  const message = `this worker has no handler for kind ${JSON.stringify(kind)}`;
  return { type: "fail" as const, message, code: "NO_HANDLER", retryable: true, nextDelayMs: undefined };
}

function revive(failure: SessionFailure): SentinelError {
  if (failure.code === undefined) return new SentinelError(failure.message);
  return new ApiError(failure.message, failure.code as Code, failure.reason, {}, [], undefined);
}

function setupOf(options: WorkerOptions): Setup {
  const endpoints = typeof options.endpoint === "string" ? [options.endpoint] : options.endpoint;
  const queues = [...new Set(options.queues ?? ["default"])];
  const kinds = Object.entries(options.handlers).map(([name, handler]) => ({
    name,
    description: typeof handler === "function" ? "" : handler.description,
  }));
  const pid = `-${process.pid}`;
  const setup: Setup = {
    endpoints: parseEndpoints(endpoints, options.tls),
    credential: options.credential,
    tls: options.tls,
    instance: options.instance ?? cut(hostname() || "worker", MAX_NAME_BYTES - pid.length) + pid,
    build: options.build ?? "",
    queues,
    kinds,
    labels: options.labels ?? {},
    slots: options.concurrency ?? 64,
    payloadBytes: options.payloadBudgetBytes ?? 64 * 1024 * 1024,
    drainTimeoutMs: options.drainTimeoutMs ?? 30_000,
  };
  inRange("endpoint", endpoints.length, 1, 100, "servers");
  inRange("instance", Buffer.byteLength(setup.instance), 1, MAX_NAME_BYTES, "bytes");
  inRange("build", Buffer.byteLength(setup.build), 0, MAX_NAME_BYTES, "bytes");
  inRange("queues", queues.length, 1, 100, "queues");
  inRange("handlers", kinds.length, 1, 1000, "handlers");
  inRange("labels", Object.keys(setup.labels).length, 0, 16, "labels");
  inRange("concurrency", setup.slots, 1, 100_000, "jobs");
  inRange("payloadBudgetBytes", setup.payloadBytes, 0, Number.MAX_SAFE_INTEGER, "bytes");
  inRange("drainTimeoutMs", setup.drainTimeoutMs, 0, 2 ** 31, "ms");
  for (const { name, description } of kinds) {
    checkName(name);
    inRange(`description of ${name}`, Buffer.byteLength(description), 0, 1024, "bytes");
  }
  for (const queue of queues) checkName(queue);
  return setup;
}

function inRange(field: string, value: number, min: number, max: number, unit: string): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new InvalidArgumentError(`invalid ${field}: ${value} ${unit}; allowed are ${min}..${max}`);
}

function checkName(name: string): void {
  if (/^[A-Za-z0-9._-]{1,128}$/.test(name)) return;
  const allowed = `allowed are 1..${MAX_NAME_BYTES} characters of [A-Za-z0-9._-]`;
  throw new InvalidArgumentError(`invalid queue or kind ${JSON.stringify(name)}; ${allowed}`);
}

/** The events of a worker, for logs, metrics and alerts of the application. */
import { textOf, tryOr } from "../text.js";
import type { JobContext } from "./job-context.js";
import type { LogEventLevel } from "./thread-messages.js";

/** Why an attempt failed, as reported to the server. */
export interface AttemptFailure {
  /** At most 16 KiB. */
  readonly message: string;
  /** The code of a `HandlerError`, or one of this package, such as `BAD_RESULT`. May be empty. */
  readonly code: string;
  /** Whether another attempt may follow. */
  readonly retryable: boolean;
  /** The stack trace with those of the causes, at most 16 KiB. Empty when nothing was thrown. */
  readonly detail: string;
}

/** An event of a worker. */
export type WorkerEvent =
  /** A session was opened or resumed on this server. */
  | { readonly type: "connected"; readonly server: string; readonly endpoint: string }
  /** The session's stream was lost, or could not be opened; the worker reconnects. Each failed try is an event. */
  | { readonly type: "disconnected"; readonly message: string }
  /** A handler succeeded; its report is being sent. */
  | { readonly type: "succeeded"; readonly job: JobContext; readonly durationMs: number }
  /** A handler failed; its report is being sent. `thrown` is what it threw, if it threw. */
  | {
      readonly type: "failed";
      readonly job: JobContext;
      readonly durationMs: number;
      readonly failure: AttemptFailure;
      readonly thrown: unknown;
    }
  /** Something that an operator should know. */
  | { readonly type: "warning"; readonly message: string };

export type OnEvent = (event: WorkerEvent) => unknown;
export type OnLog = (level: LogEventLevel, message: string) => unknown;

/** Calls the hooks of the application. An exception of a hook never reaches the worker. */
export class Hooks {
  constructor(
    private readonly onEvent: OnEvent | undefined,
    private readonly onLog: OnLog | undefined,
  ) {}

  event(event: WorkerEvent): void {
    if (event.type === "failed") this.#logFailure(event.job, event.failure);
    const { onEvent } = this;
    if (onEvent === undefined) return;
    const failed = (error: unknown) => this.#log("warn", `onEvent failed: ${textOf(error)}`);
    try {
      // An async hook rejects later.
      void Promise.resolve(onEvent(event)).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  log(level: LogEventLevel, message: string): void {
    this.#log(level, message);
    if (level === "warn") this.event({ type: "warning", message });
  }

  #logFailure(job: JobContext, failure: AttemptFailure): void {
    const { message, detail, code } = failure;
    const attempt = `job ${job.jobId} (${job.kind}), attempt ${job.attempt} of ${job.maxAttempts}`;
    // The detail of an error starts with its message.
    this.#log("warn", `attempt failed: ${attempt}${code && `, code ${code}`}: ${detail || message}`);
  }

  #log(level: LogEventLevel, message: string): void {
    const { onLog } = this;
    if (onLog === undefined) {
      if (level === "warn") console.warn(`sentinel: ${message}`);
      return;
    }
    tryOr(() => void Promise.resolve(onLog(level, message)).catch(() => {}), undefined);
  }
}

/** The options of a worker. */
import type { TlsConfig } from "../endpoint.js";
import type { OnEvent, OnLog } from "./events.js";
import type { JobContext } from "./job-context.js";

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

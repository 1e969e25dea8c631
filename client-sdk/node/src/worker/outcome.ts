/** The outcome of a handler: what it returns or throws. */
import { toBytes } from "../bytes.js";
import { textOf, truncate, tryOr } from "../text.js";
import { MAX_CODE_BYTES } from "./constants.js";
import { detailOf, messageOf } from "./failure.js";
import type { Failure, HandlerOutcome } from "./thread-messages.js";

/** Marks the classes of this module. A process can load them twice, as ES module and as CommonJS. */
const OUTCOME = Symbol.for("@sentinel/client.Outcome");
const HANDLER_ERROR = Symbol.for("@sentinel/client.HandlerError");

function isMarked(value: unknown, mark: symbol): boolean {
  return tryOr(() => typeof value === "object" && value !== null && mark in value, false);
}

/** An outcome other than success or failure. Handlers return it. */
export class Outcome {
  /** @internal */
  readonly [OUTCOME] = true;

  private constructor(
    /** @internal */
    readonly outcome: HandlerOutcome,
  ) {}

  /** The job runs again after this delay (0..366 d). The attempt does not count. */
  static snooze(delayMs: number): Outcome {
    return new Outcome({ type: "snooze", delayMs });
  }

  /** The job goes back to its queue for another worker. The attempt does not count. */
  static release(): Outcome {
    return new Outcome({ type: "release" });
  }

  /** The handler stopped because the job was cancelled. */
  static cancelled(): Outcome {
    return new Outcome({ type: "cancelled" });
  }
}

export interface HandlerErrorOptions extends ErrorOptions {
  /** An error code of the handler's choice, for grouping. Truncated to 128 bytes. */
  readonly code?: string;
  /** Whether another attempt may succeed. Default true. */
  readonly retryable?: boolean;
  /** Overrides the delay of the retry policy. 0..30 d. */
  readonly nextDelayMs?: number;
}

/** A failure with a code, a delay or `retryable: false`. Other errors are retryable failures. */
export class HandlerError extends Error {
  override name = "HandlerError";
  /** @internal */
  readonly [HANDLER_ERROR] = true;
  readonly code: string;
  readonly retryable: boolean;
  readonly nextDelayMs: number | undefined;

  /** `message` is truncated to 16 KiB. */
  constructor(message: string, options: HandlerErrorOptions = {}) {
    super(message, options);
    this.code = options.code ?? "";
    this.retryable = options.retryable ?? true;
    this.nextDelayMs = options.nextDelayMs ?? undefined;
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Calls a handler and returns its outcome: the only mapping of how a handler finished. Total: it never rejects,
 * whatever the handler returns or throws, and the outcome has only plain values that can be sent between threads.
 */
export async function outcomeOf(handler: () => unknown): Promise<{ outcome: HandlerOutcome; thrown?: unknown }> {
  let value: unknown;
  try {
    value = await handler();
  } catch (thrown) {
    return { outcome: outcomeOfError(thrown), thrown };
  }
  return { outcome: outcomeOfResult(value) };
}

/** The outcome of a handler that returned `value`. */
export function outcomeOfResult(value: unknown): HandlerOutcome {
  try {
    if (isMarked(value, OUTCOME)) return checkedOutcome((value as Outcome).outcome);
    return { type: "succeed", result: toBytes("result", value) };
  } catch (error) {
    // The handler would return the same value again.
    return permanentFailure("BAD_RESULT", textOf(error));
  }
}

/** A caller in plain JavaScript may have made the outcome of values of any type. */
function checkedOutcome(outcome: HandlerOutcome): HandlerOutcome {
  if (outcome.type !== "snooze") return { type: outcome.type } as HandlerOutcome;
  return (
    invalidDelay("delayMs of Outcome.snooze", outcome.delayMs, 366) ?? { type: "snooze", delayMs: outcome.delayMs }
  );
}

/** The outcome of a handler that threw `thrown`. Total. */
export function outcomeOfError(thrown: unknown): Failure {
  const options = isMarked(thrown, HANDLER_ERROR) ? (thrown as HandlerError) : undefined;
  const nextDelayMs = tryOr(() => options?.nextDelayMs, undefined);
  const failure: Failure = {
    type: "fail",
    message: messageOf(thrown),
    code: truncate(
      tryOr(() => (options?.code ? textOf(options.code) : ""), ""),
      MAX_CODE_BYTES,
    ),
    retryable: tryOr(() => (options === undefined ? true : Boolean(options.retryable)), true),
    nextDelayMs: nextDelayMs ?? undefined,
    detail: detailOf(thrown),
  };
  if (failure.nextDelayMs === undefined) return failure;
  const invalid = invalidDelay("nextDelayMs of HandlerError", failure.nextDelayMs, 30);
  if (invalid === undefined) return failure;
  const message = `${invalid.message}; the error of the handler was: ${failure.message}`;
  return { ...invalid, message, detail: failure.detail };
}

/** A failure without a retry, which would fail the same way, if the delay is not valid. */
function invalidDelay(field: string, delayMs: unknown, maxDays: number): Failure | undefined {
  const isNumber = typeof delayMs === "number";
  if (isNumber && delayMs >= 0 && delayMs <= maxDays * DAY_MS) return undefined;
  const given = isNumber ? String(delayMs) : `of type ${typeof delayMs}`;
  return permanentFailure("BAD_OUTCOME", `${field} is ${given}; allowed are 0..${maxDays * DAY_MS} ms`);
}

function permanentFailure(code: string, message: string): Failure {
  return { type: "fail", message, code, retryable: false, nextDelayMs: undefined, detail: "" };
}

/** The outcome of a handler: what it returns or throws. */
import { toBytes } from "../bytes.js";
import type { HandlerOutcome } from "./thread-messages.js";

/** An outcome other than success or failure. Handlers return it. */
export class Outcome {
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
const MAX_CAUSES = 10;

/** The outcome of a handler that returned `value`. */
export function outcomeOfResult(value: unknown): HandlerOutcome {
  if (value instanceof Outcome) {
    const { outcome } = value;
    if (outcome.type !== "snooze") return outcome;
    return checkDelay(outcome, "delayMs of Outcome.snooze", outcome.delayMs, 366);
  }
  return { type: "succeed", result: toBytes(value) };
}

/** The outcome of a handler that threw `cause`. */
export function outcomeOfError(cause: unknown): HandlerOutcome {
  try {
    return failure(cause);
  } catch {
    // For example an object without a prototype, or a message that is a symbol.
    return invalidOutcome("the handler threw a value that cannot be converted to text");
  }
}

function failure(cause: unknown): HandlerOutcome {
  if (cause instanceof HandlerError) {
    const { message, code, retryable, nextDelayMs } = cause;
    // Callers in plain JavaScript may have passed values of any type.
    const outcome: HandlerOutcome = {
      type: "fail",
      message: messageWithCauses(cause) || message,
      code: String(code),
      retryable: Boolean(retryable),
      nextDelayMs,
    };
    return nextDelayMs === undefined ? outcome : checkDelay(outcome, "nextDelayMs of HandlerError", nextDelayMs, 30);
  }
  const message = cause instanceof Error ? messageWithCauses(cause) : String(cause);
  return { type: "fail", message, code: "", retryable: true, nextDelayMs: undefined };
}

/** Replaces an outcome with an invalid delay by a failure without a retry, which would fail the same way. */
function checkDelay(outcome: HandlerOutcome, field: string, delayMs: number, maxDays: number): HandlerOutcome {
  const isNumber = typeof delayMs === "number";
  if (isNumber && delayMs >= 0 && delayMs <= maxDays * DAY_MS) return outcome;
  const handlerError = outcome.type === "fail" ? `; the error of the handler was: ${outcome.message}` : "";
  const given = isNumber ? String(delayMs) : `of type ${typeof delayMs}`;
  return invalidOutcome(`${field} is ${given}; allowed are 0..${maxDays * DAY_MS} ms${handlerError}`);
}

function invalidOutcome(message: string): HandlerOutcome {
  return { type: "fail", message, code: "BAD_OUTCOME", retryable: false, nextDelayMs: undefined };
}

/** The message of the error and of its causes. */
function messageWithCauses(error: Error): string {
  const messages = [error.message || error.name];
  let cause = error.cause;
  // The number is limited because causes can be cyclic.
  while (cause instanceof Error && messages.length < MAX_CAUSES) {
    messages.push(cause.message || cause.name);
    cause = cause.cause;
  }
  return messages.join(": ");
}

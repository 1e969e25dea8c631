/** How a handler ends: what it returns, or throws, becomes the report about its attempt. */
import type { Ended } from "./messages.js";

/** An end other than success or failure. Handlers return it. */
export class Outcome {
  private constructor(
    /** @internal */
    readonly ended: Ended,
  ) {}

  /** Run it again after this long (0..366 d); the attempt does not count. */
  static snooze(delayMs: number): Outcome {
    return new Outcome({ type: "snooze", delayMs });
  }

  /** Hand it to another worker; the attempt does not count. */
  static release(): Outcome {
    return new Outcome({ type: "release" });
  }

  /** Stopped because of a cancel. */
  static cancelled(): Outcome {
    return new Outcome({ type: "cancelled" });
  }
}

export interface HandlerErrorOptions extends ErrorOptions {
  /** The handler's own class of error, to group by. Cut at 128 bytes. */
  readonly code?: string;
  /** Whether another attempt may succeed. Default true. */
  readonly retryable?: boolean;
  /** Overrides the pause of the retry policy. 0..30 d. */
  readonly nextDelayMs?: number;
}

/** A failure of which the handler knows more than its text. Other errors are retryable. */
export class HandlerError extends Error {
  override name = "HandlerError";
  readonly code: string;
  readonly retryable: boolean;
  readonly nextDelayMs: number | undefined;

  /** `message` is for people; it is cut at 16 KiB. */
  constructor(message: string, options: HandlerErrorOptions = {}) {
    super(message, options);
    this.code = options.code ?? "";
    this.retryable = options.retryable ?? true;
    this.nextDelayMs = options.nextDelayMs ?? undefined;
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Bytes and text as they are, nothing as nothing, all else as JSON. */
export function succeeded(value: unknown): Ended {
  if (value instanceof Outcome) {
    const { ended } = value;
    return ended.type === "snooze" ? withDelay(ended, "delayMs of Outcome.snooze", ended.delayMs, 366) : ended;
  }
  return { type: "succeed", result: toBytes(value) };
}

export function toBytes(value: unknown): Uint8Array {
  if (value === undefined) return new Uint8Array();
  // A copy: a Buffer is mostly a view of a pool that others use.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
}

export function failed(cause: unknown): Ended {
  try {
    return failure(cause);
  } catch {
    // Such as an object without a prototype, or a message that is a symbol.
    return badOutcome("what the handler threw has no text");
  }
}

function failure(cause: unknown): Ended {
  if (cause instanceof HandlerError) {
    const { message, code, retryable, nextDelayMs } = cause;
    // A caller without types may have given anything.
    const told = { message: chain(cause) || message, code: String(code), retryable: Boolean(retryable), nextDelayMs };
    const ended: Ended = { type: "fail", ...told };
    return nextDelayMs === undefined ? ended : withDelay(ended, "nextDelayMs of HandlerError", nextDelayMs, 30);
  }
  const message = cause instanceof Error ? chain(cause) : String(cause);
  return { type: "fail", message, code: "", retryable: true, nextDelayMs: undefined };
}

/** A wrong delay is the handler's mistake: it ends this attempt, and would be the same in the next. */
function withDelay(ended: Ended, field: string, delayMs: number, maxDays: number): Ended {
  const isNumber = typeof delayMs === "number";
  if (isNumber && delayMs >= 0 && delayMs <= maxDays * DAY_MS) return ended;
  const told = ended.type === "fail" ? `; it failed with: ${ended.message}` : "";
  const given = isNumber ? String(delayMs) : `of type ${typeof delayMs}`;
  return badOutcome(`${field} is ${given}; allowed are 0..${maxDays * DAY_MS} ms${told}`);
}

function badOutcome(message: string): Ended {
  return { type: "fail", message, code: "BAD_OUTCOME", retryable: false, nextDelayMs: undefined };
}

/** The error and what caused it. */
function chain(error: Error): string {
  const told = [error.message || error.name];
  let cause = error.cause;
  // A cause may, by mistake, be its own.
  while (cause instanceof Error && told.length < 10) {
    told.push(cause.message || cause.name);
    cause = cause.cause;
  }
  return told.join(": ");
}

/** The errors of this package. Programs branch on `reason`, never on the message. */
import { Code } from "@connectrpc/connect";

/** The error code of an `ApiError`, as listed in docs/errors.md. A newer server may send others. */
export type ErrorReason =
  | "INVALID_FIELD"
  | "JOB_NOT_FOUND"
  | "QUEUE_NOT_FOUND"
  | "QUEUE_EXISTS"
  | "TOO_MANY_QUEUES"
  | "TOO_MANY_KINDS"
  | "UNIQUE_KEY_HELD"
  | "REQUEST_ID_REUSED"
  | "JOB_NOT_FINAL"
  | "CONTENDED"
  | "OVERLOADED"
  | "SHUTTING_DOWN"
  | "STORE_UNAVAILABLE"
  | "STORE_FULL"
  | "STORE_ROLLED_BACK"
  | "NOT_YET_SAFE"
  | "STORE_DAMAGED"
  | "SESSION_PROTOCOL"
  | (string & {});

/** A field that the server rejected. */
export interface FieldViolation {
  /** The path of the field in the request, such as `spec.queue`. */
  readonly field: string;
  /** What is wrong and what is allowed. */
  readonly description: string;
}

/** The base class of all errors of this package. */
export class SentinelError extends Error {
  override name = "SentinelError";
}

/** The server returned an error. */
export class ApiError extends SentinelError {
  override name = "ApiError";

  constructor(
    message: string,
    /** The gRPC status code. */
    readonly code: Code,
    /** The error code to branch on. Empty when the error does not come from a Sentinel server. */
    readonly reason: ErrorReason,
    /** Details, such as `holder` for UNIQUE_KEY_HELD. */
    readonly metadata: Readonly<Record<string, string>>,
    /** The rejected fields, for INVALID_FIELD. */
    readonly fieldViolations: readonly FieldViolation[],
    /** How long to wait before a retry, if the server requested a delay. */
    readonly retryAfterMs: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** No response: the server is not reachable or the connection was lost. */
export class TransportError extends SentinelError {
  override name = "TransportError";
}

/** No response within the timeout. The call may have been executed. */
export class CallTimeoutError extends SentinelError {
  override name = "CallTimeoutError";
}

/** The client was closed by `Client.close`. */
export class ClientClosedError extends SentinelError {
  override name = "ClientClosedError";

  constructor(options?: ErrorOptions) {
    super("the client is closed", options);
  }
}

/** An argument is not valid; nothing was sent. */
export class InvalidArgumentError extends SentinelError {
  override name = "InvalidArgumentError";
}

/** The server violated the protocol. */
export class ProtocolError extends SentinelError {
  override name = "ProtocolError";
}

/** Whether the server was unavailable, so that the same call may succeed later (AIP-194). */
export function isUnavailable(error: SentinelError): boolean {
  if (error instanceof ApiError) return error.code === Code.Unavailable;
  return error instanceof TransportError;
}

/** Whether the error is permanent for a watch or a session, which must not reconnect then. */
export function closesStreams(error: SentinelError): boolean {
  if (error instanceof InvalidArgumentError || error instanceof ClientClosedError) return true;
  if (!(error instanceof ApiError)) return false;
  switch (error.code) {
    case Code.InvalidArgument:
    case Code.NotFound:
    case Code.Unauthenticated:
    case Code.PermissionDenied:
    case Code.Unimplemented:
      return true;
    default:
      return false;
  }
}

/**
 * What can go wrong between a caller and a server, decoded once, so that callers branch on
 * `reason` and never on a message.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { durationMs } from "./time.js";

/** What to branch on, as docs/errors.md lists them; a later server may send others. */
export type Reason =
  | "INVALID_FIELD"
  | "JOB_NOT_FOUND"
  | "QUEUE_NOT_FOUND"
  | "QUEUE_EXISTS"
  | "TOO_MANY_QUEUES"
  | "TOO_MANY_KINDS"
  | "UNIQUE_KEY_HELD"
  | "REQUEST_ID_REUSED"
  | "JOB_NOT_TERMINAL"
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

/** One field that the server refused. */
export interface FieldViolation {
  /** Path of the field in the request, such as `spec.queue`. */
  readonly field: string;
  /** What is wrong with it and what is allowed. */
  readonly description: string;
}

/** Any error of this package. */
export class SentinelError extends Error {
  override name = "SentinelError";
}

/** The server answered with an error. */
export class ApiError extends SentinelError {
  override name = "ApiError";

  constructor(
    message: string,
    /** gRPC status. */
    readonly code: Code,
    /** Empty when the answer came from something other than a Sentinel server, such as a proxy. */
    readonly reason: Reason,
    /** Such as `holder` for UNIQUE_KEY_HELD. */
    readonly metadata: Readonly<Record<string, string>>,
    /** Fields at fault, for INVALID_FIELD. */
    readonly fieldViolations: readonly FieldViolation[],
    /** When the server wants to see the call again. */
    readonly retryAfterMs: number | undefined,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** No answer: the server could not be reached or the connection broke. */
export class TransportError extends SentinelError {
  override name = "TransportError";
}

/** No answer within the timeout; the call may have had its effect. */
export class TimeoutError extends SentinelError {
  override name = "TimeoutError";
}

/** A value can not be sent as given. */
export class InvalidArgumentError extends SentinelError {
  override name = "InvalidArgumentError";
}

/** The server's answer breaks the contract. */
export class ProtocolError extends SentinelError {
  override name = "ProtocolError";
}

/** Any error of a call as one of this package. */
export function fromWire(cause: unknown): SentinelError {
  if (cause instanceof SentinelError) return cause;
  const error = ConnectError.from(cause);
  if (error.code === Code.DeadlineExceeded) {
    return new TimeoutError("no answer from the server within the timeout", { cause });
  }
  if (isBreak(error)) {
    return new TransportError(`can not reach the server: ${error.rawMessage}`, { cause });
  }
  const info = error.findDetails(ErrorInfoSchema)[0];
  const retry = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const violations = error.findDetails(BadRequestSchema).flatMap((bad) => bad.fieldViolations);
  return new ApiError(
    error.rawMessage || info?.reason || Code[error.code],
    error.code,
    info?.reason ?? "",
    info?.metadata ?? {},
    violations.map(({ field, description }) => ({ field, description })),
    retry === undefined ? undefined : durationMs(retry),
    { cause },
  );
}

/**
 * What the other side says comes with its headers. Without them the connection ended: whatever its
 * code, such as CANCELED for streams of a connection that is gone. A message that is too large is
 * known before it is sent.
 */
function isBreak(error: ConnectError): boolean {
  const isAnswer = error.details.length > 0 || !error.metadata.keys().next().done;
  return !isAnswer && error.code !== Code.ResourceExhausted;
}

/** Whether the same call may succeed later without a change to it (AIP-194: UNAVAILABLE alone). */
export function isUnavailable(error: SentinelError): boolean {
  if (error instanceof ApiError) return error.code === Code.Unavailable;
  return error instanceof TransportError;
}

/** Whether repeating the call can not help: a stream that gets this ends. */
export function endsStreams(error: SentinelError): boolean {
  if (!(error instanceof ApiError)) return error instanceof InvalidArgumentError;
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

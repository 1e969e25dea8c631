/** Converts gRPC errors into the errors of this package. */
import { Code, ConnectError } from "@connectrpc/connect";
import { ApiError, CallTimeoutError, InvalidArgumentError, SentinelError, TransportError } from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { durationMs } from "./time.js";

/** Converts the error of a call. Errors of this package are returned unchanged. */
export function fromGrpcError(cause: unknown): SentinelError {
  if (cause instanceof SentinelError) return cause;
  const error = ConnectError.from(cause);
  // An error of this package that connect has wrapped.
  if (error.cause instanceof SentinelError) return error.cause;
  if (isNotSent(cause, error)) return new InvalidArgumentError(`invalid request: ${error.rawMessage}`, { cause });
  if (error.code === Code.DeadlineExceeded) {
    return new CallTimeoutError("the server did not respond within the timeout", { cause });
  }
  if (isConnectionLost(error)) {
    return new TransportError(`cannot reach the server: ${error.rawMessage}`, { cause });
  }
  const info = error.findDetails(ErrorInfoSchema)[0];
  const retryDelay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const violations = error.findDetails(BadRequestSchema).flatMap((badRequest) => badRequest.fieldViolations);
  return new ApiError(
    error.rawMessage || info?.reason || Code[error.code],
    error.code,
    info?.reason ?? "",
    info?.metadata ?? {},
    violations.map(({ field, description }) => ({ field, description })),
    retryDelay === undefined ? undefined : durationMs(retryDelay),
    { cause },
  );
}

/**
 * An error before anything was sent: a value that its field cannot hold, or a request over the size limit. Errors
 * of connections are ConnectErrors, or have a code or an abort reason.
 */
function isNotSent(cause: unknown, error: ConnectError): boolean {
  if (cause instanceof ConnectError) return /^(serialize binary:|message size .* writeMaxBytes)/.test(error.rawMessage);
  return cause instanceof Error && !("code" in cause) && /^(Type|Range|Syntax|Field)?Error$/.test(cause.name);
}

/**
 * An error that the server sent has headers or details. One without them was created for a lost
 * connection, whatever its code (CANCELED, for example). The exception is RESOURCE_EXHAUSTED, which is
 * also created for a message that is too large to send.
 */
function isConnectionLost(error: ConnectError): boolean {
  const isFromServer = error.details.length > 0 || !error.metadata.keys().next().done;
  return !isFromServer && error.code !== Code.ResourceExhausted;
}

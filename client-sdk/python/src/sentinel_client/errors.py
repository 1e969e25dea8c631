"""What can go wrong between a caller and a server, decoded once, so that callers branch on `reason` and never on a message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2


@dataclass(frozen=True)
class FieldViolation:
    """One field that the server refused."""

    field: str
    """Path of the field in the request, such as `spec.queue`."""
    description: str
    """What is wrong with it and what is allowed."""


class SentinelError(Exception):
    """Any error of this package."""


class ApiError(SentinelError):
    """The server answered with an error."""

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: Sequence[FieldViolation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        """What to branch on, as docs/errors.md lists it, such as `JOB_NOT_FOUND`."""
        self.metadata = dict(metadata or {})
        """Such as `holder` for UNIQUE_KEY_HELD."""
        self.field_violations = tuple(field_violations)
        """Fields at fault, for INVALID_FIELD."""
        self.retry_after_s = retry_after_s
        """When the server wants to see the call again."""


class TransportError(SentinelError):
    """No answer: the server could not be reached or the connection broke."""


class CallTimeoutError(SentinelError):
    """No answer within the timeout; the call may have had its effect."""


class InvalidArgumentError(SentinelError, ValueError):
    """A value can not be sent as given."""


class ProtocolError(SentinelError):
    """The server's answer breaks the contract."""


def from_wire(error: Exception) -> SentinelError:
    """Any error of a call as one of this package."""
    if isinstance(error, SentinelError):
        return error
    if not isinstance(error, grpc.RpcError):
        return TransportError(str(error))
    code: grpc.StatusCode = error.code()
    message = error.details() or code.name
    trailers = error.trailing_metadata() or ()
    details = next((value for key, value in trailers if key == "grpc-status-details-bin"), None)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CallTimeoutError("no answer from the server within the timeout")
    if code is grpc.StatusCode.UNAVAILABLE and details is None:
        return TransportError(f"can not reach the server: {message}")
    return _decoded(code, message, details)


def _decoded(code: grpc.StatusCode, message: str, details: bytes | None) -> ApiError:
    status = status_pb2.Status.FromString(details) if details else status_pb2.Status()
    info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    retry_after_s: float | None = None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Unpack(retry):
            retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    violations = [FieldViolation(found.field, found.description) for found in bad.field_violations]
    return ApiError(message, code, info.reason, info.metadata, violations, retry_after_s)


def is_unavailable(error: SentinelError) -> bool:
    """Whether the same call may succeed later without a change to it (AIP-194: UNAVAILABLE alone)."""
    if isinstance(error, ApiError):
        return error.code is grpc.StatusCode.UNAVAILABLE
    return isinstance(error, TransportError)


_ENDS_STREAMS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def ends_streams(error: SentinelError) -> bool:
    """Whether repeating the call can not help: a stream that gets this ends."""
    return isinstance(error, ApiError) and error.code in _ENDS_STREAMS

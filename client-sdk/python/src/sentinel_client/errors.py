"""The errors of this package. Programs branch on `reason`, never on the message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2

from ._proto.sentinel.jobs.v1.job_pb2 import Job


@dataclass(frozen=True)
class FieldViolation:
    """A field that the server rejected."""

    field: str
    """The path of the field in the request, such as `spec.queue`."""
    description: str
    """What is wrong and what is allowed."""


class SentinelError(Exception):
    """The base class of all errors of this package."""


class ApiError(SentinelError):
    """The server returned an error."""

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
        """The gRPC status code."""
        self.reason = reason
        """The error code to branch on, such as `JOB_NOT_FOUND`, as listed in docs/errors.md. Empty when the
        error does not come from a Sentinel server."""
        self.metadata = dict(metadata or {})
        """Details, such as `holder` for UNIQUE_KEY_HELD."""
        self.field_violations = tuple(field_violations)
        """The rejected fields, for INVALID_FIELD."""
        self.retry_after_s = retry_after_s
        """How long to wait before a retry, if the server requested a delay."""


class TransportError(SentinelError):
    """No response: the server is not reachable or the connection was lost."""


class UnusableClientError(TransportError):
    """No connection is possible from this client or process, so that repeating the call is useless: the client is
    closed, the process was forked, or the scheme of the endpoint does not match the server."""


class CallTimeoutError(SentinelError):
    """No response within the timeout. The call may have been executed."""


class InvalidArgumentError(SentinelError, ValueError):
    """An argument is not valid; nothing was sent."""


class ProtocolError(SentinelError):
    """The server violated the protocol."""


class JobNotSucceededError(SentinelError):
    """A job ended without a result: it failed, was cancelled, or expired."""

    def __init__(self, message: str, job: Job) -> None:
        super().__init__(message)
        self.job = job
        """The job: `job.state` tells how it ended, `job.error` why it failed."""


def from_grpc_error(error: Exception, is_past_deadline: bool = False) -> SentinelError:
    """Converts the error of a call. Errors of this package are returned unchanged. `is_past_deadline` tells that
    the time for the response has passed."""
    if isinstance(error, SentinelError):
        return error
    if not isinstance(error, grpc.RpcError):
        return TransportError(str(error))
    code: grpc.StatusCode = error.code()
    message = error.details() or code.name
    trailers = error.trailing_metadata() or ()
    details = next((value for key, value in trailers if key == "grpc-status-details-bin"), None)
    # A server or proxy may see the deadline before this process does, and cancel the call.
    is_late = code is grpc.StatusCode.CANCELLED and is_past_deadline
    if code is grpc.StatusCode.DEADLINE_EXCEEDED or is_late:
        return CallTimeoutError("the server did not respond within the timeout")
    if code is grpc.StatusCode.UNAVAILABLE and details is None:
        return TransportError(f"cannot reach the server: {message}")
    return _api_error(code, message, details)


def _api_error(code: grpc.StatusCode, message: str, details: bytes | None) -> ApiError:
    status = status_pb2.Status.FromString(details) if details else status_pb2.Status()
    info, retry, bad_request = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.RetryInfo(),
        error_details_pb2.BadRequest(),
    )
    retry_after_s: float | None = None
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
        if detail.Unpack(retry):
            retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    violations = [FieldViolation(violation.field, violation.description) for violation in bad_request.field_violations]
    return ApiError(message, code, info.reason, info.metadata, violations, retry_after_s)


def is_unavailable(error: SentinelError) -> bool:
    """Whether the server was unavailable, so that the same call may succeed later (AIP-194)."""
    if isinstance(error, ApiError):
        return error.code is grpc.StatusCode.UNAVAILABLE
    return isinstance(error, TransportError)


_PERMANENT_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def closes_streams(error: SentinelError) -> bool:
    """Whether the error is permanent for a watch or a session, which must not reconnect then."""
    return isinstance(error, UnusableClientError) or (isinstance(error, ApiError) and error.code in _PERMANENT_CODES)

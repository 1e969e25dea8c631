"""The outcome of a handler, and its conversion into a report."""

import json
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._text import truncate
from .._time import wire_duration
from .constants import MAX_RESULT_BYTES

_MAX_MESSAGE_BYTES = 16 * 1024
_MAX_CODE_BYTES = 128
_MAX_CAUSES = 10


@dataclass(frozen=True)
class Snooze:
    """An outcome: the job runs again after this delay (0..366 d). The attempt does not count."""

    delay: timedelta


@dataclass(frozen=True)
class Release:
    """An outcome: the job goes back to its queue for another worker. The attempt does not count."""


@dataclass(frozen=True)
class Cancelled:
    """An outcome: the handler stopped because the job was cancelled."""


class HandlerError(Exception):
    """A failure with a code, a delay or `retryable=False`. Other exceptions are retryable failures."""

    def __init__(
        self, message: str, *, code: str = "", retryable: bool = True, next_delay: timedelta | None = None
    ) -> None:
        """`message` is truncated to 16 KiB. `code` is an error code of the handler's choice, for grouping,
        truncated to 128 bytes. `next_delay` (0..30 d) overrides the delay of the retry policy."""
        super().__init__(message)
        self.code = code
        self.retryable = retryable
        self.next_delay = next_delay


@dataclass(frozen=True)
class Succeeded:
    result: bytes


@dataclass(frozen=True)
class Failed:
    message: str
    code: str = ""
    retryable: bool = True
    next_delay: timedelta | None = None
    timeout: bool = False


HandlerOutcome = Succeeded | Failed | Snooze | Release | Cancelled


def outcome_of_result(value: object) -> HandlerOutcome:
    """The outcome of a handler that returned `value`."""
    if isinstance(value, Snooze | Release | Cancelled):
        return value
    return Succeeded(to_bytes(value))


def to_bytes(value: object) -> bytes:
    """Encodes a value: bytes and text unchanged, `None` as empty, anything else as JSON."""
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def outcome_of_error(error: BaseException) -> HandlerOutcome:
    """The outcome of a handler that raised `error`."""
    message = _message_with_causes(error)
    if isinstance(error, HandlerError):
        # Untyped callers may have passed values of any type.
        return Failed(message, str(error.code), bool(error.retryable), error.next_delay)
    return Failed(message)


def _message_with_causes(error: BaseException) -> str:
    messages = [str(error) or type(error).__name__]
    cause = error.__cause__
    # The number is limited because causes can be cyclic.
    while cause is not None and len(messages) < _MAX_CAUSES:
        messages.append(str(cause) or type(cause).__name__)
        cause = cause.__cause__
    return ": ".join(messages)


def timed_out(run_timeout_s: float) -> Failed:
    message = f"the attempt ran longer than its run_timeout of {run_timeout_s:g} s"
    return Failed(message, "TIMEOUT", timeout=True)


def reported_outcome(outcome: HandlerOutcome, is_cancelled: bool, is_releasing: bool) -> HandlerOutcome:
    """The outcome to report. For a cancelled job only a success is reported as such. While a drain releases
    jobs, a handler that stopped because of it is released, not failed."""
    if isinstance(outcome, Succeeded):
        return outcome
    if is_cancelled:
        return Cancelled()
    # Without a requested cancel, the handler stopped on its own, so another worker may run the job.
    if is_releasing or isinstance(outcome, Cancelled):
        return Release()
    return outcome


def set_outcome(item: pb.ReportItem, outcome: HandlerOutcome) -> None:
    """Writes an outcome into a report, within the limits of the protocol. An outcome that the protocol cannot
    express fails this attempt without a retry, which would fail the same way."""
    converted = pb.ReportItem()
    try:
        _convert(converted, outcome)
    except Exception as error:
        message = f"the outcome of the handler cannot be reported: {error}; the outcome was: {outcome!r}"
        converted = pb.ReportItem()
        _convert(converted, Failed(message, "BAD_OUTCOME", retryable=False))
    item.MergeFrom(converted)


def _text(text: str, max_bytes: int) -> str:
    """Truncates text and replaces lone surrogates, which cannot be encoded."""
    return truncate(text.encode(errors="replace").decode(), max_bytes)


def _delay(delay: timedelta, field: str, max_delay: timedelta) -> Duration:
    if not timedelta() <= delay <= max_delay:
        raise ValueError(f"{field} is {delay}; allowed are 0..{max_delay.days} d")
    return wire_duration(delay)


def _convert(item: pb.ReportItem, outcome: HandlerOutcome) -> None:
    if isinstance(outcome, Succeeded) and len(outcome.result) > MAX_RESULT_BYTES:
        message = f"the result has {len(outcome.result)} bytes; at most {MAX_RESULT_BYTES} are allowed"
        outcome = Failed(message, "RESULT_TOO_LARGE", retryable=False)
    match outcome:
        case Succeeded(result):
            item.succeeded.result = result
            item.succeeded.SetInParent()
        case Failed():
            item.failed.error.message = _text(outcome.message, _MAX_MESSAGE_BYTES)
            item.failed.error.code = _text(outcome.code, _MAX_CODE_BYTES)
            item.failed.error.retryable = outcome.retryable
            item.failed.timeout = outcome.timeout
            if outcome.next_delay is not None:
                item.failed.next_delay.CopyFrom(_delay(outcome.next_delay, "next_delay", timedelta(days=30)))
        case Snooze(delay):
            item.snoozed.delay.CopyFrom(_delay(delay, "the delay of Snooze", timedelta(days=366)))
        case Release():
            item.released.SetInParent()
        case Cancelled():
            item.cancelled.SetInParent()

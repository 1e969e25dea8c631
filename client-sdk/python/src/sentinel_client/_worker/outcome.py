"""The outcome of a handler, and its conversion into a report."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration

from .._json import JsonError, encode_json
from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._text import truncate, type_name, valid_text
from .._time import wire_duration
from .constants import MAX_RESULT_BYTES
from .failure import MAX_DETAIL_BYTES, has_class, message_with_causes, read, stack_of

_MAX_MESSAGE_BYTES = 16 * 1024
_MAX_CODE_BYTES = 128


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
    detail: str = ""


HandlerOutcome = Succeeded | Failed | Snooze | Release | Cancelled


def outcome_of(value: object, error: BaseException | None) -> HandlerOutcome:
    """The outcome of a handler that returned `value` or raised `error`: the only mapping from the end of a handler
    to its report, for all values and exceptions. Never raises."""
    try:
        return _outcome_of_value(value) if error is None else outcome_of_error(error)
    except BaseException as unexpected:
        # The class of the value, or of the exception, fails even while it is inspected.
        ended = value if error is None else error
        return Failed(f"{type_name(ended)}: {message_with_causes(unexpected)}", detail=stack_of(unexpected))


def _outcome_of_value(value: object) -> HandlerOutcome:
    if isinstance(value, Snooze | Release | Cancelled):
        return value
    try:
        return Succeeded(to_bytes(value, "result"))
    except JsonError as error:
        return Failed(valid_text(error), "BAD_RESULT", retryable=False, detail=stack_of(error))
    except BaseException as error:
        message = f"result: {type_name(value)} cannot be encoded: {message_with_causes(error)}"
        return Failed(message, "BAD_RESULT", retryable=False, detail=stack_of(error))


def to_bytes(value: object, name: str = "data") -> bytes:
    """Encodes a value: bytes and text unchanged, `None` as empty, anything else as JSON. Raises `JsonError` with
    the path of the part that cannot be encoded, which starts with `name`."""
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if not isinstance(value, str):
        return encode_json(value, name)
    try:
        return str.encode(value)
    except UnicodeEncodeError as error:
        raise JsonError(f"{name}: the text has a lone surrogate, which is not valid Unicode") from error


def outcome_of_error(error: BaseException) -> Failed:
    """The outcome of a handler that raised `error`."""
    detail = stack_of(error)
    attributes = cast(Any, error)
    if has_class(error, SystemExit):
        # A handler must not end the worker.
        code = valid_text(read(lambda: attributes.code, None))
        return Failed(f"the handler called sys.exit({code})", "SYSTEM_EXIT", detail=detail)
    message = message_with_causes(error)
    if has_class(error, JsonError):
        # A part of the result that a typed handler returned.
        return Failed(message, "BAD_RESULT", retryable=False, detail=detail)
    if not has_class(error, HandlerError):
        return Failed(message, detail=detail)
    # Untyped callers may have passed values of any type, and subclasses may not have called the constructor.
    code = valid_text(read(lambda: attributes.code, ""))
    retryable = read(lambda: bool(attributes.retryable), True)
    return Failed(message, code, retryable, read(lambda: attributes.next_delay, None), detail=detail)


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
    express fails this attempt without a retry, which would fail the same way. Never raises."""
    converted = pb.ReportItem()
    try:
        _convert(converted, outcome)
    except BaseException as error:
        reason = message_with_causes(error)
        message = f"the outcome of the handler cannot be reported: {reason}; the outcome was: {_describe(outcome)}"
        converted = pb.ReportItem()
        _convert(converted, Failed(message, "BAD_OUTCOME", retryable=False))
    item.MergeFrom(converted)


def _describe(outcome: HandlerOutcome) -> str:
    return read(lambda: repr(outcome), type_name(outcome))


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
            error = item.failed.error
            error.message = truncate(valid_text(outcome.message), _MAX_MESSAGE_BYTES)
            error.code = truncate(valid_text(outcome.code), _MAX_CODE_BYTES)
            error.detail = truncate(valid_text(outcome.detail), MAX_DETAIL_BYTES)
            error.retryable = outcome.retryable
            item.failed.timeout = outcome.timeout
            if outcome.next_delay is not None:
                item.failed.next_delay.CopyFrom(_delay(outcome.next_delay, "next_delay", timedelta(days=30)))
        case Snooze(delay):
            item.snoozed.delay.CopyFrom(_delay(delay, "the delay of Snooze", timedelta(days=366)))
        case Release():
            item.released.SetInParent()
        case Cancelled():
            item.cancelled.SetInParent()

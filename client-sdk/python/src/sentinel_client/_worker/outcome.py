"""How a handler ends: what it returns, or raises, becomes the report about its attempt."""

import json
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from .._proto.sentinel.workers.v1 import worker_service_pb2 as pb
from .._wire import split_text, wire_duration
from .tuning import MAX_RESULT_BYTES

_MAX_MESSAGE_BYTES = 16 * 1024
_MAX_CODE_BYTES = 128


@dataclass(frozen=True)
class Snooze:
    """Returned: run it again after this long (0..366 d); the attempt does not count."""

    delay: timedelta


@dataclass(frozen=True)
class Release:
    """Returned: hand it to another worker; the attempt does not count."""


@dataclass(frozen=True)
class Cancelled:
    """Returned: stopped because of a cancel."""


class HandlerError(Exception):
    """A failure of which the handler knows more than its text. Other exceptions are retryable."""

    def __init__(
        self, message: str, *, code: str = "", retryable: bool = True, next_delay: timedelta | None = None
    ) -> None:
        """`message` is for people, cut at 16 KiB; `code` is the handler's own class of error, cut at
        128 bytes; `next_delay` (0..30 d) overrides the pause of the retry policy."""
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


Ended = Succeeded | Failed | Snooze | Release | Cancelled


def returned(value: object) -> Ended:
    """Bytes and text as they are, nothing as nothing, all else as JSON."""
    if isinstance(value, Snooze | Release | Cancelled):
        return value
    return Succeeded(to_bytes(value))


def to_bytes(value: object) -> bytes:
    if value is None:
        return b""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    return (value if isinstance(value, str) else json.dumps(value)).encode()


def raised(error: BaseException) -> Ended:
    if isinstance(error, HandlerError):
        # A caller without types may have given anything.
        return Failed(_chain(error), str(error.code), bool(error.retryable), error.next_delay)
    return Failed(_chain(error))


def _chain(error: BaseException) -> str:
    told = [str(error) or type(error).__name__]
    cause = error.__cause__
    # A cause may, by mistake, be its own.
    while cause is not None and len(told) < 10:
        told.append(str(cause) or type(cause).__name__)
        cause = cause.__cause__
    return ": ".join(told)


def timed_out(run_timeout_s: float) -> Failed:
    message = f"the attempt ran longer than its run_timeout of {run_timeout_s:g} s"
    return Failed(message, "TIMEOUT", timeout=True)


def to_report(ended: Ended, is_cancelled: bool, is_releasing: bool) -> Ended:
    """Under a cancel only a success still counts as the handler's own end. While a drain hands jobs
    back, a handler that stopped because it was told to is handed back, not failed."""
    if isinstance(ended, Succeeded):
        return ended
    if is_cancelled:
        return Cancelled()
    # Nobody asked for a cancel: the handler stopped by itself and another may run it.
    if is_releasing or isinstance(ended, Cancelled):
        return Release()
    return ended


def fill(item: pb.ReportItem, ended: Ended) -> None:
    """Writes the outcome into a report, within the limits of the wire. What can not be written is the
    handler's mistake: it ends this attempt, and would be the same in the next."""
    written = pb.ReportItem()
    try:
        _write(written, ended)
    except Exception as error:
        message = f"the end of the handler can not be reported: {error}; it was: {ended!r}"
        written = pb.ReportItem()
        _write(written, Failed(message, "BAD_OUTCOME", retryable=False))
    item.MergeFrom(written)


def _text(text: str, max_bytes: int) -> str:
    """Cut, and without halves of surrogate pairs, which have no encoding."""
    return split_text(text.encode(errors="replace").decode(), max_bytes)[0]


def _delay(delay: timedelta, field: str, most: timedelta) -> Duration:
    if not timedelta() <= delay <= most:
        raise ValueError(f"{field} is {delay}; allowed are 0..{most.days} d")
    return wire_duration(delay)


def _write(item: pb.ReportItem, ended: Ended) -> None:
    if isinstance(ended, Succeeded) and len(ended.result) > MAX_RESULT_BYTES:
        message = f"the result has {len(ended.result)} bytes; at most {MAX_RESULT_BYTES} are allowed"
        ended = Failed(message, "RESULT_TOO_LARGE", retryable=False)
    match ended:
        case Succeeded(result):
            item.succeeded.result = result
            item.succeeded.SetInParent()
        case Failed():
            item.failed.error.message = _text(ended.message, _MAX_MESSAGE_BYTES)
            item.failed.error.code = _text(ended.code, _MAX_CODE_BYTES)
            item.failed.error.retryable = ended.retryable
            item.failed.timeout = ended.timeout
            if ended.next_delay is not None:
                item.failed.next_delay.CopyFrom(_delay(ended.next_delay, "next_delay", timedelta(days=30)))
        case Snooze(delay):
            item.snoozed.delay.CopyFrom(_delay(delay, "the delay of Snooze", timedelta(days=366)))
        case Release():
            item.released.SetInParent()
        case Cancelled():
            item.cancelled.SetInParent()

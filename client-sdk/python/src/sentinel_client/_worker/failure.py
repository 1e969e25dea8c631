"""Describes an exception of a handler. Programs of users define the text, the causes and the attributes of their
exceptions, and reading any of these may fail with any exception; nothing here does."""

import traceback
from collections.abc import Callable
from typing import TypeVar

from .._text import split_at, truncate, type_name, valid_text

MAX_DETAIL_BYTES = 16 * 1024
_MAX_CAUSES = 10
# Limits that keep the innermost frames of each exception within the detail.
_MAX_FRAMES = 30
_MAX_LINE_BYTES = 1024
_DETAIL_HEAD_BYTES = 6 * 1024
_OMITTED = "\n[...]\n"

Value = TypeVar("Value")


def read(value: Callable[[], Value], default: Value) -> Value:
    """The value, or `default` when it cannot be read."""
    try:
        return value()
    except BaseException:
        return default


def has_class(error: object, wanted: type) -> bool:
    """As `isinstance`, which asks the object for its class and so may fail."""
    return issubclass(type(error), wanted)


def message_with_causes(error: BaseException) -> str:
    """The text of an exception and of its causes. Never empty."""
    messages = [_message(error)]
    cause = read(lambda: error.__cause__, None)
    # The number is limited because causes can be cyclic.
    while cause is not None and len(messages) < _MAX_CAUSES:
        messages.append(_message(cause))
        current = cause
        cause = read(lambda: current.__cause__, None)  # noqa: B023 - called at once
    return ": ".join(messages)


def _message(error: BaseException) -> str:
    return valid_text(error) or type_name(error)


def stack_of(error: BaseException) -> str:
    """The stack trace with the causes, at most 16 KiB. The innermost frames are kept."""
    return read(lambda: _stack_of(error), "") or type_name(error)


def _stack_of(error: BaseException) -> str:
    formatted = traceback.TracebackException.from_exception(error, limit=-_MAX_FRAMES)
    lines = [line for part in formatted.format() for line in valid_text(part).splitlines()]
    text = "\n".join(truncate(line, _MAX_LINE_BYTES) for line in lines)
    head, rest = split_at(text, _DETAIL_HEAD_BYTES)
    tail_bytes = MAX_DETAIL_BYTES - _DETAIL_HEAD_BYTES - len(_OMITTED)
    rest_bytes = rest.encode()
    if len(rest_bytes) <= tail_bytes:
        return text
    return head + _OMITTED + rest_bytes[-tail_bytes:].decode(errors="ignore")

"""Builds requests from arguments of any type; an argument that does not fit is an `InvalidArgumentError`."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message

from .errors import InvalidArgumentError

Request = TypeVar("Request", bound=Message)


def build(message: type[Request], path: str, /, **fields: Any) -> Request:
    """A message with these fields. `path` and the field name an argument in errors."""
    try:
        return message(**fields)
    except (TypeError, ValueError, AttributeError) as error:
        for field, value in fields.items():
            try:
                message(**{field: value})
            except (TypeError, ValueError, AttributeError) as cause:
                raise InvalidArgumentError(f"invalid {path}.{field}: {_described(value, cause)}") from cause
        raise InvalidArgumentError(f"invalid {path}: {error}") from error


def _described(value: object, cause: Exception) -> str:
    if isinstance(cause, UnicodeEncodeError):
        return "the text has a lone surrogate, which is not valid Unicode"
    return f"{value!r:.200}: {cause}"


def choose(name: str, value: object, allowed: Mapping[str, int]) -> int:
    """The enum value of a text. Raises `InvalidArgumentError`, which lists what is allowed."""
    if isinstance(value, str) and value in allowed:
        return allowed[value]
    # The values of the wire contract are accepted as well.
    if isinstance(value, int) and not isinstance(value, bool) and value in allowed.values():
        return value
    raise InvalidArgumentError(f"invalid {name}: {value!r}; allowed are {', '.join(allowed)}")


def choose_all(name: str, values: Iterable[object], allowed: Mapping[str, int]) -> list[int]:
    if isinstance(values, str):
        raise InvalidArgumentError(f"invalid {name}: {values!r}; a list is expected")
    return [choose(name, value, allowed) for value in values]

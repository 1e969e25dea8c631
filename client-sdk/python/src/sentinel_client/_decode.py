"""Decodes parsed JSON into annotated types, and describes these types by JSON Schema."""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Any
from uuid import UUID

from ._text import type_name

_SCALARS: dict[Any, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_FORMATS: dict[Any, tuple[str, Callable[[str], object]]] = {
    datetime: ("date-time", datetime.fromisoformat),
    date: ("date", date.fromisoformat),
    time: ("time", time.fromisoformat),
    UUID: ("uuid", UUID),
}


class DecodeError(ValueError):
    """A value does not have the expected type. The message starts with its path."""


def decode(wanted: Any, value: Any, path: str) -> Any:
    """A value of the type `wanted`. Raises `DecodeError`."""
    if wanted is Any or wanted is object:
        return value
    if wanted is None:
        wanted = type(None)
    if wanted in _SCALARS:
        return _decode_scalar(wanted, value, path)
    if wanted in _FORMATS or (isinstance(wanted, type) and issubclass(wanted, Enum)):
        try:
            return _FORMATS[wanted][1](value) if wanted in _FORMATS else wanted(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise DecodeError(f"{path}: {value!r:.100} is no {wanted.__name__}") from error
    if hasattr(wanted, "model_validate"):
        try:
            return wanted.model_validate(value)
        except ValueError as error:
            raise DecodeError(f"{path}: {error}") from error
    if dataclasses.is_dataclass(wanted):
        return _decode_dataclass(wanted, value, path)
    return _decode_generic(wanted, value, path)


def _decode_scalar(wanted: Any, value: Any, path: str) -> Any:
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise DecodeError(f"{path}: expected {_SCALARS[wanted]}, found {type_name(value)}")
    return value


def _decode_dataclass(wanted: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        raise DecodeError(f"{path}: expected an object, found {type_name(value)}")
    hints = typing.get_type_hints(wanted)
    decoded: dict[str, Any] = {}
    for field in dataclasses.fields(wanted):
        # Unknown members are ignored, so that callers can be newer than workers.
        if field.init and field.name in value:
            decoded[field.name] = decode(hints[field.name], value[field.name], f"{path}.{field.name}")
    try:
        return wanted(**decoded)
    except (TypeError, ValueError) as error:
        raise DecodeError(f"{path}: {error}") from error


def _decode_generic(wanted: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(wanted) or wanted, typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(args, value, path)
    if origin is typing.Literal:
        if value in args:
            return value
        raise DecodeError(f"{path}: {value!r:.100} is none of {', '.join(map(repr, args))}")
    if origin is typing.Annotated:
        return decode(args[0], value, path)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if not isinstance(value, list) or len(value) != len(args):
            raise DecodeError(f"{path}: expected an array of {len(args)}")
        parts = zip(args, value, strict=True)
        return tuple(decode(part, item, f"{path}[{index}]") for index, (part, item) in enumerate(parts))
    if origin in (list, tuple, set, frozenset, Sequence):
        if not isinstance(value, list):
            raise DecodeError(f"{path}: expected an array, found {type_name(value)}")
        part = args[0] if args else Any
        create = list if origin is Sequence else origin
        return create(decode(part, item, f"{path}[{index}]") for index, item in enumerate(value))
    if origin in (dict, Mapping):
        if not isinstance(value, dict):
            raise DecodeError(f"{path}: expected an object, found {type_name(value)}")
        part = args[1] if args else Any
        return {key: decode(part, item, f"{path}.{key}") for key, item in value.items()}
    raise DecodeError(f"{path}: values of type {wanted} cannot be decoded")


def _decode_union(wanted: Sequence[Any], value: Any, path: str) -> Any:
    errors: list[str] = []
    for option in wanted:
        try:
            return decode(option, value, path)
        except DecodeError as error:
            errors.append(str(error))
    raise DecodeError("; ".join(errors))


def json_schema(wanted: Any) -> dict[str, Any] | None:
    """The JSON Schema of a type, `None` when it has none."""
    if hasattr(wanted, "model_json_schema"):
        schema: dict[str, Any] = wanted.model_json_schema()
        return schema
    schema = _schema(wanted, ())
    return schema if schema.get("type") == "object" else None


def _schema(wanted: Any, parents: tuple[Any, ...]) -> dict[str, Any]:
    """An empty schema, which allows everything, for types that are not described."""
    if wanted in parents:
        return {}
    if wanted in _SCALARS:
        return {"type": _SCALARS[wanted]}
    if wanted in _FORMATS:
        return {"type": "string", "format": _FORMATS[wanted][0]}
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return {"enum": [member.value for member in wanted]}
    if hasattr(wanted, "model_json_schema"):
        # Its definitions are relative to its own root.
        return {"type": "object"}
    if dataclasses.is_dataclass(wanted):
        return _dataclass_schema(wanted, (*parents, wanted))
    origin, args = typing.get_origin(wanted) or wanted, typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(option, parents) for option in args]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (list, tuple, set, frozenset, Sequence):
        is_uniform = bool(args) and (origin is not tuple or args[-1] is Ellipsis)
        return {"type": "array", "items": _schema(args[0], parents)} if is_uniform else {"type": "array"}
    if origin in (dict, Mapping):
        values = {"additionalProperties": _schema(args[1], parents)} if args else {}
        return {"type": "object", **values}
    return {}


def _dataclass_schema(wanted: Any, parents: tuple[Any, ...]) -> dict[str, Any]:
    hints = typing.get_type_hints(wanted)
    fields = [field for field in dataclasses.fields(wanted) if field.init]
    missing = dataclasses.MISSING
    required = [field.name for field in fields if field.default is missing and field.default_factory is missing]
    properties = {field.name: _schema(hints[field.name], parents) for field in fields}
    return {"type": "object", "title": wanted.__name__, "properties": properties, "required": required}

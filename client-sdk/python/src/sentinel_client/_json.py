"""The JSON of payloads and results. Python's own encoder writes NaN, which is not JSON, and lone surrogates, which
no other parser accepts; its errors do not name the offending part."""

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any
from uuid import UUID

from ._text import type_name

# Reported for values that are nested more deeply than the encoder can follow.
_MAX_DEPTH = 500


class JsonError(ValueError):
    """A value, or a part of it, has no JSON. The message starts with the path of the part."""


class NoJsonType(TypeError):
    """Values of this type have no JSON."""


def encode_json(value: object, name: str) -> bytes:
    """Encodes a value. `name` is the first part of the path in errors. Raises `JsonError`, whatever the value does
    while it is read."""
    try:
        text = json.dumps(value, allow_nan=False, default=plain)
    except Exception as error:
        _check(value, name, _MAX_DEPTH)
        raise JsonError(f"{name}: {type_name(value)} has no JSON: {type_name(error)}") from error
    # An escaped surrogate may be one half of a pair, which is valid, or a lone one.
    if "\\ud" in text:
        _check(value, name, len(text))
    return text.encode()


def decode_json(data: bytes) -> Any:
    """Parses JSON. Raises `ValueError`, also for NaN and for values that are nested too deeply."""
    try:
        return json.loads(data or b"null", parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def plain(value: object) -> object:
    """A dataclass, a pydantic model, an enum, a time or a UUID as a value that has JSON. Raises `NoJsonType`
    for other types."""
    if isinstance(value, type):
        raise NoJsonType("a class has no JSON")
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    model_dump = getattr(type(value), "model_dump", None)
    if model_dump is not None:
        return model_dump(value, mode="json")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise NoJsonType(f"{type_name(value)} has no JSON")


def _check(value: object, name: str, max_depth: int) -> None:
    """Raises `JsonError` with the path of the first part that has no JSON."""
    # Not recursive, since the value may be nested more deeply than the stack allows.
    parents: list[object] = [value]
    pending = [iter(_parts(value, name))]
    while pending:
        path, part = next(pending[-1], (None, None))
        if path is None:
            pending.pop()
            parents.pop()
            continue
        if any(part is parent for parent in parents) and isinstance(part, list | tuple | dict):
            raise JsonError(f"{path[:256]}: {type_name(part)} contains itself, which has no JSON")
        if len(parents) >= max_depth:
            raise JsonError(f"{path[:256]}...: nested more than {max_depth} levels deep")
        pending.append(iter(_parts(part, path)))
        parents.append(part)


def _parts(value: object, path: str) -> list[tuple[str, object]]:
    """The parts of a value with their paths. Raises `JsonError` when the value itself has no JSON."""
    try:
        return _read_parts(value, path)
    except JsonError:
        raise
    except Exception as error:
        raise JsonError(f"{path}: {type_name(value)} cannot be read: {type_name(error)}") from error


def _read_parts(value: object, path: str) -> list[tuple[str, object]]:
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            raise JsonError(f"{path}: the text has a lone surrogate, which is not valid Unicode")
        return []
    if isinstance(value, float):
        if not math.isfinite(value):
            raise JsonError(f"{path}: {value} has no JSON")
        return []
    if isinstance(value, int):
        int.__repr__(value)
        return []
    if isinstance(value, list | tuple):
        return [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    if isinstance(value, dict):
        return _members(value, path)
    try:
        return [(path, plain(value))]
    except NoJsonType as error:
        raise JsonError(f"{path}: {error}") from error


def _members(value: Mapping[object, object], path: str) -> list[tuple[str, object]]:
    parts: list[tuple[str, object]] = []
    for key, part in value.items():
        if not isinstance(key, str | int | float | None):
            raise JsonError(f"{path}: a key is a {type_name(key)}; keys of JSON are text")
        _parts(key, f"{path}: a key")
        text = str(key)
        parts.append((f"{path}.{text}" if text.isidentifier() else f"{path}[{text!r}]", part))
    return parts

"""Hostile exceptions, values and texts, for the unit tests and the conformance worker."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from sentinel_client import HandlerError


class PanicException(BaseException):
    """Outside the usual hierarchy, as the exceptions of native extensions."""


class TextRaises(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


class TextExits(Exception):
    def __str__(self) -> str:
        raise SystemExit(7)

    __repr__ = __str__


class TextIsNoText(Exception):
    def __str__(self) -> str:
        return cast(str, 5)


class CauseRaises(Exception):
    def __getattribute__(self, name: str) -> Any:
        if name in ("__cause__", "__context__", "__notes__", "__class__", "__dict__"):
            raise RuntimeError("no attributes")
        return super().__getattribute__(name)


class HostileHandlerError(HandlerError):
    """Does not call the constructor, so it has no attributes."""

    def __init__(self) -> None:
        pass


class TextlessMeta(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise PanicException("no name")

    def __instancecheck__(cls, _: object) -> bool:
        raise PanicException("no instance check")


class Textless(Exception, metaclass=TextlessMeta):
    def __str__(self) -> str:
        raise PanicException("no text")


class NotTruthy:
    def __bool__(self) -> bool:
        raise PanicException("neither true nor false")

    def __str__(self) -> str:
        raise PanicException("no text")

    __repr__ = __str__


def with_cyclic_cause() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def with_deep_causes() -> BaseException:
    error: BaseException = ValueError("innermost cause")
    for _ in range(5_000):
        outer = ValueError("outer")
        outer.__cause__ = error
        error = outer
    return error


def recurse() -> None:
    recurse()


def raises(error: Callable[[], BaseException]) -> Callable[[], object]:
    def throw() -> None:
        raise error()

    return throw


def exhausted() -> object:
    empty: Iterator[int] = iter([])
    return next(empty)


# Each raises when it is called.
THROW: list[Callable[[], object]] = [
    raises(lambda: PanicException("panicked")),
    raises(TextRaises),
    raises(TextExits),
    raises(TextIsNoText),
    raises(CauseRaises),
    raises(HostileHandlerError),
    raises(Textless),
    exhausted,
    raises(lambda: StopAsyncIteration("stopped")),
    raises(lambda: GeneratorExit("closed")),
    raises(lambda: KeyboardInterrupt("interrupted")),
    raises(lambda: SystemExit(3)),
    raises(lambda: asyncio.CancelledError("cancelled")),
    raises(lambda: ValueError("")),
    raises(lambda: ValueError("lone \ud800 surrogate")),
    raises(lambda: ValueError("x" * 1024 * 1024)),
    raises(lambda: ValueError("line\n" * 200_000)),
    raises(lambda: ValueError("NUL \x00")),
    raises(with_cyclic_cause),
    raises(with_deep_causes),
    recurse,
    raises(lambda: BaseExceptionGroup("group", [PanicException("a"), ValueError("b")])),
    raises(lambda: HandlerError("bad code", code=cast(str, NotTruthy()))),
    raises(lambda: HandlerError("bad flag", retryable=cast(bool, NotTruthy()))),
    raises(lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")),
    raises(lambda: MemoryError()),
    raises(lambda: TimeoutError()),
]


@dataclasses.dataclass
class Item:
    name: str
    price: float


class RaisingItems(dict[str, int]):
    def __init__(self) -> None:
        super().__init__(a=1)

    def items(self) -> Any:
        raise RuntimeError("no items")


class RaisingMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError("no item")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


def cyclic_list() -> list[Any]:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    return cycle


def cyclic_dict() -> dict[str, Any]:
    cycle: dict[str, Any] = {}
    cycle["inner"] = {"outer": cycle}
    return cycle


def deep_list() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def released_memory() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


# Each creates a value without JSON, and the path that the error names.
RETURN: list[tuple[Callable[[], object], str]] = [
    (lambda: float("nan"), "result: nan"),
    (lambda: {"items": [0, 1, 2, float("nan")]}, "result.items[3]: nan"),
    (lambda: [float("inf")], "result[0]: inf"),
    (lambda: {"a": {"b": float("-inf")}}, "result.a.b: -inf"),
    (lambda: Item("tea", float("nan")), "result.price: nan"),
    (lambda: {"total": 1 + 2j}, "result.total: complex"),
    (lambda: {"call": exhausted}, "result.call: function"),
    (lambda: [{1, 2}], "result[0]: set"),
    (lambda: object(), "result: object"),
    (lambda: {"type": int}, "result.type: a class"),
    (lambda: {("a", 1): 2}, "result: a key"),
    (lambda: {float("nan"): 2}, "result: a key"),
    (cyclic_list, "result[1]: list contains itself"),
    (cyclic_dict, "result.inner.outer: dict contains itself"),
    (deep_list, "result[0][0]"),
    (lambda: "lone \ud800 surrogate", "result: the text has a lone surrogate"),
    (lambda: ["ok", "\udfff"], "result[1]: the text has a lone surrogate"),
    (lambda: {"\ud800": 1}, "result: a key"),
    (RaisingItems, "result: RaisingItems"),
    (RaisingMapping, "result: RaisingMapping"),
    (lambda: {"data": b"bytes"}, "result.data: bytes"),
    (lambda: {"n": 10**5_000}, "result.n: int"),
    (lambda: {"after": timedelta(seconds=1)}, "result.after: timedelta"),
    (lambda: (part for part in [1]), "result: generator"),
    (NotTruthy, "result: NotTruthy"),
    (released_memory, "result: memoryview"),
]

# Numbers and texts for progress and logs.
ADVISE: list[tuple[object, object]] = [
    (1e20, "1e20"),
    (float("nan"), "nan"),
    (-1, "negative"),
    (float("inf"), "infinity"),
    (float("-inf"), "negative infinity"),
    (2**64, "over 64 bits"),
    (10**5_000, "5000 digits"),
    (1, "lone \ud800 surrogate"),
    (2, "x" * 1024 * 1024),
    (3, "NUL \x00"),
    (4, {"not": "text"}),
    (5, None),
    ("no number", ["no", "text"]),
    (None, b"bytes"),
    (NotTruthy(), NotTruthy()),
    (1 + 2j, TextRaises()),
    (True, ""),
    (0.5, "\U0001f600" * 20_000),
]

"""The event loop of all blocking clients of the process, on its own thread."""

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar, cast

from ._fork import check_not_forked

Value = TypeVar("Value")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_END = object()


def _event_loop() -> asyncio.AbstractEventLoop:
    """Starts the thread at the first call."""
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="sentinel-client", daemon=True).start()
        return _loop


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Waits for a coroutine on the loop. Fails in a forked child, where the thread does not exist."""
    try:
        check_not_forked()
        future = asyncio.run_coroutine_threadsafe(coroutine, _event_loop())
    except BaseException:
        coroutine.close()
        raise
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise
    except BaseException:
        # Also KeyboardInterrupt, which arrives in the waiting thread.
        future.cancel()
        raise


def iterate(create: "AsyncIterator[Value]") -> Iterator[Value]:
    """The items of an asynchronous iterator. Leaving the loop closes it."""

    async def next_item() -> object:
        return await anext(create, _END)

    async def close() -> None:
        aclose = getattr(create, "aclose", None)
        if aclose is not None:
            await aclose()

    try:
        while (item := run(next_item())) is not _END:
            yield cast(Value, item)
    finally:
        run(close())

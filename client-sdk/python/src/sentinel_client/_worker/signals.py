"""Shutdown signals of all workers of the process.

`signal.signal` and not the signal handling of asyncio: the latter writes each signal into a pipe that a forked
child shares with its parent, so that a signal for the child shuts the parent down."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

_Subscriber = Callable[[], None]


class ShutdownSignals:
    """Calls its subscribers at the first signal. While there are subscribers, the previous handlers of the process
    are replaced; a second signal has its default effect. Used on the main thread only, as are signal handlers."""

    def __init__(self) -> None:
        self._subscribers: dict[signal.Signals, list[_Subscriber]] = {}
        self._previous: dict[signal.Signals, Any] = {}

    def subscribe(self, signals: Iterable[signal.Signals], subscriber: _Subscriber) -> None:
        """Has no effect outside the main thread and on Windows, where a signal does not wake the event loop."""
        if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
            return
        for number in signals:
            self._subscribers.setdefault(number, []).append(subscriber)
            if signal.getsignal(number) == self._handle:
                continue
            if number not in self._previous:
                self._previous[number] = signal.getsignal(number)
            signal.signal(number, self._handle)

    def unsubscribe(self, subscriber: _Subscriber) -> None:
        for number, subscribers in list(self._subscribers.items()):
            if subscriber in subscribers:
                subscribers.remove(subscriber)
            if not subscribers:
                del self._subscribers[number]
                self._restore(number)

    def was_received(self, number: signal.Signals) -> bool:
        """Whether this signal has shut down a worker that has not yet returned."""
        return number in self._previous and signal.getsignal(number) == _default_handler(number)

    def _handle(self, number: int, _: FrameType | None) -> None:
        received = signal.Signals(number)
        signal.signal(received, _default_handler(received))
        for subscriber in list(self._subscribers.get(received, ())):
            subscriber()

    def _restore(self, number: signal.Signals) -> None:
        previous = self._previous.pop(number, None)
        # The program may have set another handler in the meantime. `None` is a handler that Python cannot set.
        ours = (self._handle, _default_handler(number))
        if previous is not None and signal.getsignal(number) in ours:
            signal.signal(number, previous)

    def _reset_in_child(self) -> None:
        """A forked child has no workers, and gets the handlers from before them."""
        self._subscribers.clear()
        for number in list(self._previous):
            self._restore(number)


def _default_handler(number: signal.Signals) -> Any:
    return signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL


SHUTDOWN_SIGNALS = ShutdownSignals()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHUTDOWN_SIGNALS._reset_in_child)

"""The events of a worker, for metrics and error trackers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .failure import stack_of

if TYPE_CHECKING:
    from .job_context import JobContext

_log = logging.getLogger("sentinel_client.worker")

Outcome = Literal["succeeded", "failed", "snoozed", "released", "cancelled"]


@dataclass(frozen=True)
class JobStarted:
    """A handler was called."""

    job: "JobContext"


@dataclass(frozen=True)
class JobFinished:
    """A handler has ended. The server decides on what is recorded: for a cancelled job, or when the lease was lost,
    it may differ."""

    job: "JobContext"
    outcome: Outcome
    duration_s: float
    """From the call of the handler to its end, in seconds."""
    message: str = ""
    """Why the attempt failed. Empty for other outcomes."""
    error: BaseException | None = None
    """The exception that the handler raised, for outcome `failed`."""


@dataclass(frozen=True)
class SessionOpened:
    """The worker is connected."""

    server: str
    """The name of the server."""


@dataclass(frozen=True)
class SessionLost:
    """The connection was lost, or could not be opened. The worker reconnects unless it is stopped."""

    error: Exception
    """An error of this package."""


@dataclass(frozen=True)
class DrainStarted:
    """The worker takes no new jobs from now on."""


WorkerEvent = JobStarted | JobFinished | SessionOpened | SessionLost | DrainStarted


class Events:
    """Passes events to the hook of the program, on the event loop of `Worker.run`: never under the session's lock,
    which handlers of the program need. A failure of the hook has no effect on jobs."""

    def __init__(
        self, hook: Callable[[WorkerEvent], None] | None, call_on_loop: Callable[[Callable[[], None]], None]
    ) -> None:
        self._hook = hook
        self._call_on_loop = call_on_loop

    def emit(self, event: WorkerEvent) -> None:
        if self._hook is not None:
            self._call_on_loop(lambda: self._call(event))

    def _call(self, event: WorkerEvent) -> None:
        try:
            if self._hook is not None:
                self._hook(event)
        except BaseException as error:
            _log.error("on_event failed\n%s", stack_of(error))

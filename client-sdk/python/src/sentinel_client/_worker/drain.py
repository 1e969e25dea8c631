"""Graceful shutdown: take no new jobs, give running ones time to finish, release the rest, wait for the last
acknowledgements, send Bye."""

from enum import Enum
from typing import Protocol

from .constants import FINAL_ACK_TIMEOUT_S, RELEASE_GRACE_S


class DrainingSession(Protocol):
    """What a drain reads and requests from the session state."""

    def all_received(self) -> bool:
        """Whether the server assigns nothing more and all assignments were received."""
        ...

    def running_without_report(self) -> int:
        """The number of running handlers with a lease and without a report."""
        ...

    def unsettled_reports(self) -> int: ...

    def cancel_running(self) -> None: ...

    def release_running(self) -> None:
        """Releases the jobs that still run."""


class Phase(Enum):
    NOT_STARTED = 0
    WAITING_FOR_HANDLERS = 1
    RELEASING = 2
    AWAITING_ACKS = 3
    COMPLETE = 4


class Drain:
    def __init__(self, session: DrainingSession) -> None:
        self._session = session
        self._phase = Phase.NOT_STARTED
        self.until: float | None = None
        """When the current phase ends at the latest."""

    @property
    def has_started(self) -> bool:
        return self._phase is not Phase.NOT_STARTED

    @property
    def is_releasing(self) -> bool:
        return self._phase in (Phase.RELEASING, Phase.AWAITING_ACKS)

    @property
    def is_complete(self) -> bool:
        return self._phase is Phase.COMPLETE

    def begin(self, now: float, until: float) -> None:
        if not self.has_started:
            self._enter(Phase.WAITING_FOR_HANDLERS, until)
            self.advance(now)

    def advance(self, now: float) -> None:
        session = self._session
        is_over = self.until is not None and now >= self.until
        if self._phase is Phase.WAITING_FOR_HANDLERS:
            all_settled = session.running_without_report() == 0 and session.unsettled_reports() == 0
            if all_settled and session.all_received():
                self._enter(Phase.COMPLETE, None)
            elif is_over:
                # Entered before the cancel, so that a handler that stops at once is released, not failed.
                self._enter(Phase.RELEASING, now + RELEASE_GRACE_S)
                session.cancel_running()
                self.advance(now)
        elif self._phase is Phase.RELEASING:
            if session.running_without_report() == 0 or is_over:
                self._enter(Phase.AWAITING_ACKS, now + FINAL_ACK_TIMEOUT_S)
                session.release_running()
                self.advance(now)
        elif self._phase is Phase.AWAITING_ACKS and (session.unsettled_reports() == 0 or is_over):
            self._enter(Phase.COMPLETE, None)

    def _enter(self, phase: Phase, until: float | None) -> None:
        self._phase = phase
        self.until = until

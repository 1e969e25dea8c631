"""Leaving in good order: no new jobs, then the running ones get their time, then what is left is
handed back, then the last acknowledgements, then Bye."""

from enum import Enum
from typing import Protocol

from .tuning import LAST_ACKS_TIMEOUT_S, RELEASE_GRACE_S


class Leaving(Protocol):
    """What a drain needs to know of the session, and has done by it."""

    def has_arrived(self) -> bool: ...

    def unreported(self) -> int: ...

    def unacked(self) -> int: ...

    def cancel_running(self) -> None: ...

    def release_rest(self) -> None: ...


class Step(Enum):
    NO = 0
    WAITING = 1
    RELEASING = 2
    LAST_ACKS = 3
    DONE = 4


class Drain:
    def __init__(self, session: Leaving) -> None:
        self._session = session
        self._step = Step.NO
        self.until: float | None = None
        """When the present step ends at the latest."""

    @property
    def has_begun(self) -> bool:
        return self._step is not Step.NO

    @property
    def is_releasing(self) -> bool:
        return self._step in (Step.RELEASING, Step.LAST_ACKS)

    @property
    def is_done(self) -> bool:
        return self._step is Step.DONE

    def begin(self, now: float, until: float) -> None:
        if not self.has_begun:
            self._enter(Step.WAITING, until)
            self.advance(now)

    def advance(self, now: float) -> None:
        session = self._session
        is_over = self.until is not None and now >= self.until
        if self._step is Step.WAITING:
            if session.has_arrived() and session.unreported() == 0 and session.unacked() == 0:
                self._enter(Step.DONE, None)
            elif is_over:
                # Entered first: a handler that stops at once is handed back, not failed.
                self._enter(Step.RELEASING, now + RELEASE_GRACE_S)
                session.cancel_running()
                self.advance(now)
        elif self._step is Step.RELEASING:
            if session.unreported() == 0 or is_over:
                self._enter(Step.LAST_ACKS, now + LAST_ACKS_TIMEOUT_S)
                session.release_rest()
                self.advance(now)
        elif self._step is Step.LAST_ACKS and (session.unacked() == 0 or is_over):
            self._enter(Step.DONE, None)

    def _enter(self, step: Step, until: float | None) -> None:
        self._step = step
        self.until = until

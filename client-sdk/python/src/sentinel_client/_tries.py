"""When a call is tried again (after AIP-194): only when there was no answer or UNAVAILABLE, with pauses
that grow and are drawn at random, within the call's deadline, and as long as the client's budget lasts,
so that a fleet of clients does not hold down a server that is overloaded. The numbers are those of the
Rust SDK; clock and dice are arguments."""

from ._backoff import Backoff
from .errors import ApiError, SentinelError, is_unavailable

# Tries of one call, the first included.
_MAX_TRIES = 4
_PAUSE = Backoff(0.1, 2.0)

# A failed try takes a token, an answer gives a tenth back; below half of all of them nothing is
# repeated: beyond 50 failures in a row, and then while over a tenth of the tries fail. In tenths.
_BUDGET_MAX = 1_000
_FAILURE_COST = 10
_ANSWER_GAIN = 1


class Budget:
    """What is left for repeats; all calls of a client share it."""

    def __init__(self) -> None:
        self._tenths = _BUDGET_MAX

    def answered(self) -> None:
        self._tenths = min(_BUDGET_MAX, self._tenths + _ANSWER_GAIN)

    def failed(self) -> bool:
        """Whether a repeat may follow."""
        self._tenths = max(0, self._tenths - _FAILURE_COST)
        return self._tenths > _BUDGET_MAX / 2


class Tries:
    """The tries of one call."""

    def __init__(self, budget: Budget, ends_at_s: float) -> None:
        self._budget = budget
        self._ends_at_s = ends_at_s
        self._failures = 0

    def left_s(self, now_s: float) -> float:
        """How long the next try may take."""
        return max(0.0, self._ends_at_s - now_s)

    def answered(self) -> None:
        self._budget.answered()

    def failed(self, error: SentinelError, now_s: float, unit: float) -> float | None:
        """The pause before the next try; `None`: that was the last one. `unit` is uniform in 0..1."""
        self._failures += 1
        if not is_unavailable(error):
            # A refusal is an answer.
            self._budget.answered()
            return None
        is_allowed = self._budget.failed() and self._failures < _MAX_TRIES
        asked = (error.retry_after_s or 0.0) if isinstance(error, ApiError) else 0.0
        pause = max(_PAUSE.pause_s(self._failures - 1, unit), asked)
        return pause if is_allowed and pause < self.left_s(now_s) else None

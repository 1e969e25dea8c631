"""When a call is repeated: when it did not reach the server, had no response in time, or the server asked for a
delay, with exponential backoff and jitter until the call's deadline. All calls of the client are safe to repeat.

The retry budget limits storms, not patience: it delays the retries of many calls that fail at the same time and
never ends a call, and one call alone does not exhaust it."""

import grpc

from ._backoff import Backoff
from .errors import ApiError, CallTimeoutError, SentinelError, is_unavailable

_BACKOFF = Backoff(0.1, 2.0)

# Retries that the budget holds, and that it gets back per second and per response.
_MAX_RETRIES = 50.0
_RETRIES_PER_S = 10.0
_RETRIES_PER_RESPONSE = 1.0
# Below this, a call cannot be repeated before its deadline.
_MIN_REMAINING_S = 0.01


class RetryBudget:
    """A token bucket of retries, shared by all calls of a client."""

    def __init__(self, now: float) -> None:
        self._retries = _MAX_RETRIES
        self._refilled_at = now

    def record_response(self) -> None:
        self._retries = min(_MAX_RETRIES, self._retries + _RETRIES_PER_RESPONSE)

    def take(self, now: float) -> bool:
        """Takes one retry, if there is one."""
        elapsed_s = max(0.0, now - self._refilled_at)
        self._retries = min(_MAX_RETRIES, self._retries + elapsed_s * _RETRIES_PER_S)
        self._refilled_at = now
        if self._retries < 1.0:
            return False
        self._retries -= 1.0
        return True


class CallRetry:
    """The retry state of one call."""

    def __init__(self, budget: RetryBudget, deadline: float) -> None:
        self._budget = budget
        self._deadline = deadline
        self._failures = 0

    def remaining_s(self, now: float) -> float:
        """The time until the call's deadline."""
        return max(0.0, self._deadline - now)

    def succeeded(self) -> None:
        self._budget.record_response()

    def next_delay_s(self, error: SentinelError, now: float, jitter: float) -> float | None:
        """Records a failure and returns the delay before the next RPC attempt, or `None` when the call must
        not be repeated. `jitter` is uniform in 0..1."""
        self._failures += 1
        asked_s = error.retry_after_s if isinstance(error, ApiError) else None
        if not _may_repeat(error):
            # The server responded, so it is not overloaded.
            self._budget.record_response()
            return None
        remaining_s = self.remaining_s(now)
        if remaining_s < _MIN_REMAINING_S or (asked_s is not None and asked_s >= remaining_s):
            return None
        # The last delays before the deadline are shorter, so that the call ends with an attempt, not with a wait.
        delay_s = min(_BACKOFF.delay_s(self._failures - 1, jitter), remaining_s / 2)
        return max(delay_s, asked_s or 0.0)

    def wait_for_budget_s(self, now: float, jitter: float) -> float:
        """0 when the retry may start now, otherwise the delay before it asks again."""
        if self._budget.take(now):
            return 0.0
        return min(max(0.05, _BACKOFF.cap_s * jitter), self.remaining_s(now))


def _may_repeat(error: SentinelError) -> bool:
    if isinstance(error, ApiError) and error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after_s is not None
    return is_unavailable(error) or isinstance(error, CallTimeoutError)

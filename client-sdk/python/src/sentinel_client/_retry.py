"""When a call is retried (after AIP-194): only when there was no response or UNAVAILABLE, with
exponential backoff and jitter, within the call's deadline, and while the client's retry throttle allows
it. The throttle (gRPC A6) keeps many clients from overloading a server that is already failing. The
constants are those of the Rust SDK."""

from ._backoff import Backoff
from .errors import ApiError, SentinelError, is_unavailable

# RPC attempts of one call, the first one included.
_MAX_RPC_ATTEMPTS = 4
_BACKOFF = Backoff(0.1, 2.0)

# Tokens of the throttle, in tenths. A failure costs one token, a response returns a tenth. Below half of
# the maximum no call is retried: that is after 50 failures in a row, and then while more than a tenth of
# the RPC attempts fail.
_MAX_TOKENS = 1_000
_FAILURE_COST = 10
_RESPONSE_GAIN = 1


class RetryThrottle:
    """A token bucket that stops retries while too many RPC attempts fail. Shared by all calls of a client."""

    def __init__(self) -> None:
        self._tokens = _MAX_TOKENS

    def record_response(self) -> None:
        self._tokens = min(_MAX_TOKENS, self._tokens + _RESPONSE_GAIN)

    def record_failure(self) -> bool:
        """Takes the cost of a failure; returns whether a retry is allowed."""
        self._tokens = max(0, self._tokens - _FAILURE_COST)
        return self._tokens > _MAX_TOKENS / 2


class CallRetry:
    """The retry state of one call."""

    def __init__(self, throttle: RetryThrottle, deadline: float) -> None:
        self._throttle = throttle
        self._deadline = deadline
        self._failures = 0

    def remaining_s(self, now: float) -> float:
        """The time until the call's deadline."""
        return max(0.0, self._deadline - now)

    def succeeded(self) -> None:
        self._throttle.record_response()

    def next_delay_s(self, error: SentinelError, now: float, jitter: float) -> float | None:
        """Records a failure and returns the delay before the next RPC attempt, or `None` when the call must
        not be retried. `jitter` is uniform in 0..1."""
        self._failures += 1
        if not is_unavailable(error):
            # The server responded, so it is not overloaded.
            self._throttle.record_response()
            return None
        is_allowed = self._throttle.record_failure() and self._failures < _MAX_RPC_ATTEMPTS
        retry_after_s = (error.retry_after_s or 0.0) if isinstance(error, ApiError) else 0.0
        delay_s = max(_BACKOFF.delay_s(self._failures - 1, jitter), retry_after_s)
        return delay_s if is_allowed and delay_s < self.remaining_s(now) else None

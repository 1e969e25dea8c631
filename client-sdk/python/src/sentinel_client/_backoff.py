"""Exponential backoff with full jitter, so that clients that failed together do not retry together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """The delay range: `base_s`, doubled with each failure, at most `cap_s`."""

    base_s: float
    cap_s: float

    def delay_s(self, failures: int, jitter: float) -> float:
        """The delay after `failures + 1` failures in a row. `jitter` is uniform in 0..1."""
        return min(self.base_s * 2.0 ** min(failures, 20), self.cap_s) * jitter

    def reconnect_delay_s(self, failures: int, jitter: float) -> float:
        """As `delay_s`, but the first reconnect after a healthy connection is immediate."""
        return 0.0 if failures == 0 else self.delay_s(failures - 1, jitter)

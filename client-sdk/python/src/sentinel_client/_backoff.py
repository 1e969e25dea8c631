"""Pauses between tries, with full jitter, so that clients that failed together do not return together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    base_s: float
    cap_s: float

    def pause_s(self, failures: int, unit: float) -> float:
        """The pause before try `failures + 1`; `unit` is uniform in 0..1."""
        return min(self.base_s * 2 ** min(failures, 20), self.cap_s) * unit

    def redial_s(self, failures: int, unit: float) -> float:
        """As `pause_s`, but the first redial after a healthy connection is immediate."""
        return 0.0 if failures == 0 else self.pause_s(failures - 1, unit)

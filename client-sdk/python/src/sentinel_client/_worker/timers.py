"""The timers of held attempts, in a binary heap.

A cleared timer stays in the heap and is skipped; the heap is rebuilt when most of its entries are stale.
"""

import heapq
from typing import Literal

TimerKind = Literal["abandon", "resend", "run_timeout"]


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, TimerKind]] = []
        self._times: dict[tuple[int, TimerKind], float] = {}

    def set(self, local_id: int, kind: TimerKind, at: float) -> None:
        self._times[local_id, kind] = at
        heapq.heappush(self._heap, (at, local_id, kind))
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._times):
            self._heap = [(at, local_id, kind) for (local_id, kind), at in self._times.items()]
            heapq.heapify(self._heap)

    def clear(self, local_id: int, *kinds: TimerKind) -> None:
        for kind in kinds:
            self._times.pop((local_id, kind), None)

    def next(self) -> float | None:
        while self._heap:
            at, local_id, kind = self._heap[0]
            if self._times.get((local_id, kind)) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def take(self, now: float) -> tuple[int, TimerKind] | None:
        """Removes and returns the next due timer."""
        at = self.next()
        if at is None or at > now:
            return None
        _, local_id, kind = heapq.heappop(self._heap)
        del self._times[local_id, kind]
        return local_id, kind

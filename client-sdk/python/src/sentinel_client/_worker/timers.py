"""The moments at which held attempts need attention, soonest first.

What no longer applies is left in the heap and skipped; when most of it is such, it is made anew.
"""

import heapq
from typing import Literal

Kind = Literal["abandon", "resend", "run_timeout"]


class Timers:
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Kind]] = []
        self._set: dict[tuple[int, Kind], float] = {}

    def set(self, no: int, kind: Kind, at: float) -> None:
        self._set[no, kind] = at
        heapq.heappush(self._heap, (at, no, kind))
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._set):
            self._heap = [(at, no, kind) for (no, kind), at in self._set.items()]
            heapq.heapify(self._heap)

    def clear(self, no: int, *kinds: Kind) -> None:
        for kind in kinds:
            self._set.pop((no, kind), None)

    def next(self) -> float | None:
        while self._heap:
            at, no, kind = self._heap[0]
            if self._set.get((no, kind)) == at:
                return at
            heapq.heappop(self._heap)
        return None

    def take(self, now: float) -> tuple[int, Kind] | None:
        """The next one that is due."""
        at = self.next()
        if at is None or at > now:
            return None
        _, no, kind = heapq.heappop(self._heap)
        del self._set[no, kind]
        return no, kind

"""The heap of due times over the active streams of a partition."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from workers.propeller.kinds.rules import Timer

_STALE_MIN = 64


@dataclass(slots=True)
class Timers:
    """Timers follow from state: deciding a stale one yields nothing.

    `known` holds the timers of each active stream. Those of an ended one stay in the
    heap as `stale` ones until they are half of it, and are never due.
    """

    heap: list[tuple[int, str, str]] = field(default_factory=list)
    known: dict[str, set[Timer]] = field(default_factory=dict)
    stale: int = 0

    def add(self, stream: str, timers: Iterable[Timer]) -> None:
        """Add timers of a stream; those that it has already change nothing."""
        for timer in timers:
            known = self.known.setdefault(stream, set())
            if timer not in known:
                known.add(timer)
                heapq.heappush(self.heap, (timer.due_us, stream, timer.id))

    def forget(self, stream: str) -> None:
        """Drop the timers of a stream that has ended."""
        self.stale += len(self.known.pop(stream, ()))
        if self.stale > max(_STALE_MIN, len(self.heap) // 2):
            self.heap = [entry for entry in self.heap if self._is_known(entry)]
            heapq.heapify(self.heap)
            self.stale = 0

    def due(self, now_us: int) -> Iterator[tuple[str, Timer]]:
        """Take out the timers whose time has come."""
        while (next_us := self.next_us()) is not None and next_us <= now_us:
            due_us, stream, timer_id = heapq.heappop(self.heap)
            timer = Timer(due_us, timer_id)
            self._drop(stream, timer)
            yield stream, timer

    def next_us(self) -> int | None:
        """Return when the next timer is due; None if there is none."""
        while self.heap and not self._is_known(self.heap[0]):
            heapq.heappop(self.heap)
            self.stale -= 1
        return self.heap[0][0] if self.heap else None

    def _drop(self, stream: str, timer: Timer) -> None:
        known = self.known[stream]
        known.discard(timer)
        if not known:
            del self.known[stream]

    def _is_known(self, entry: tuple[int, str, str]) -> bool:
        due_us, stream, timer_id = entry
        return Timer(due_us, timer_id) in self.known.get(stream, ())

"""The heap of due times over the live streams of a partition."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.execution.state import Execution
from domain.execution.timers import Timer, timer_of, timers_of


@dataclass(slots=True)
class Timers:
    """Timers follow from state: deciding a stale one yields nothing."""

    heap: list[tuple[int, str, Timer]] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)

    def restore(self, stream: str, state: Execution) -> None:
        """Take up the timers of a restored stream."""
        for timer in timers_of(state):
            self._push(stream, timer)

    def fold(self, stream: str, event: object, state: Execution) -> None:
        """Follow one fact; `state` is the state after it."""
        node = state.nodes.get(getattr(event, "node_id", ""))
        timer = timer_of(node) if node is not None else None
        if timer is not None:
            self._push(stream, timer)

    def due(self, now_us: int) -> Iterator[tuple[str, Timer]]:
        """Take out the timers whose time has come."""
        while self.heap and self.heap[0][0] <= now_us:
            _, stream, timer = heapq.heappop(self.heap)
            self.known.discard((stream, timer.id))
            yield stream, timer

    def next_us(self) -> int | None:
        """Return when the next timer is due."""
        return self.heap[0][0] if self.heap else None

    def _push(self, stream: str, timer: Timer) -> None:
        key = (stream, timer.id)
        if key not in self.known:
            self.known.add(key)
            heapq.heappush(self.heap, (timer.due_us, stream, timer))

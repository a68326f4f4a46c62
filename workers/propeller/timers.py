"""The heap of due times over the live streams of a partition."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

from domain.execution.state.state import Execution
from domain.execution.state.timers import Timer, execution_timer, timer_of, timers_of
from schemas.messages.execution_events import ExecutionTimeLimited

_STALE_MIN = 64


@dataclass(slots=True)
class Timers:
    """Timers follow from state: deciding a stale one yields nothing.

    Those of an ended stream are forgotten: `known` no longer has them, and the heap is
    made anew before they are the most of it.
    """

    heap: list[tuple[int, str, Timer]] = field(default_factory=list)
    known: dict[str, set[Timer]] = field(default_factory=dict)
    stale: int = 0

    def restore(self, stream: str, state: Execution) -> None:
        """Take up the timers of a restored stream."""
        for timer in timers_of(state):
            self._push(stream, timer)

    def fold(self, stream: str, event: object, state: Execution) -> None:
        """Follow one event; `state` is the state after it."""
        node = state.nodes.get(getattr(event, "node_id", ""))
        timer = timer_of(node) if node is not None else None
        if isinstance(event, ExecutionTimeLimited):
            timer = execution_timer(state)
        if timer is not None:
            self._push(stream, timer)

    def forget(self, stream: str) -> None:
        """Let go of the timers of a stream that has ended."""
        self.stale += len(self.known.pop(stream, ()))
        if self.stale > max(_STALE_MIN, len(self.heap) // 2):
            self.heap = [entry for entry in self.heap if self._is_known(entry)]
            heapq.heapify(self.heap)
            self.stale = 0

    def due(self, now_us: int) -> Iterator[tuple[str, Timer]]:
        """Take out the timers whose time has come."""
        while (next_us := self.next_us()) is not None and next_us <= now_us:
            _, stream, timer = heapq.heappop(self.heap)
            self._drop(stream, timer)
            yield stream, timer

    def next_us(self) -> int | None:
        """Return when the next timer is due."""
        while self.heap and not self._is_known(self.heap[0]):
            heapq.heappop(self.heap)
            self.stale -= 1
        return self.heap[0][0] if self.heap else None

    def _push(self, stream: str, timer: Timer) -> None:
        known = self.known.setdefault(stream, set())
        if timer not in known:
            known.add(timer)
            heapq.heappush(self.heap, (timer.due_us, stream, timer))

    def _drop(self, stream: str, timer: Timer) -> None:
        known = self.known[stream]
        known.discard(timer)
        if not known:
            del self.known[stream]

    def _is_known(self, entry: tuple[int, str, Timer]) -> bool:
        _, stream, timer = entry
        return timer in self.known.get(stream, ())

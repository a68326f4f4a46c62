"""The heap of due times over the active streams of a partition.

Timers say when they are due by the time of day, as events record it. Their owner counts
by the monotonic clock, from when they are set or it took the partition over: setting
the time of day neither fires nor delays one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from workers.propeller.kinds.rules import Timer

_STALE_MIN = 64
_SECOND_US = 1_000_000


class Moment(NamedTuple):
    """A moment by the monotonic clock, and by the times that a stream records."""

    monotonic_s: float
    recorded_us: int

    def due_s(self, due_us: int) -> float:
        """Return when a timer is due by the monotonic clock."""
        return self.monotonic_s + (due_us - self.recorded_us) / _SECOND_US


class _Entry(NamedTuple):
    due_s: float
    stream: str
    timer: Timer


@dataclass(slots=True)
class Timers:
    """Timers follow from state: deciding a stale one yields nothing.

    `known` has the timers of each active stream, and when they are due. Those of an
    ended one stay in the heap as `stale` ones until they are half of it, and are never
    due. `held` are those that came while their stream was parked.
    """

    heap: list[_Entry] = field(default_factory=list)
    known: dict[str, dict[Timer, float]] = field(default_factory=dict)
    held: dict[str, set[Timer]] = field(default_factory=dict)
    stale: int = 0

    def add(self, stream: str, timers: Iterable[Timer], moment: Moment) -> None:
        """Add timers of a stream that were set at a moment, or are taken over then.

        Those that it has already change nothing.
        """
        for timer in timers:
            self._add(stream, timer, moment.due_s(timer.due_us))

    def hold(self, stream: str, timer: Timer) -> None:
        """Keep a timer that came while its stream was parked."""
        self.held.setdefault(stream, set()).add(timer)

    def release(self, stream: str, now_s: float) -> None:
        """Have the timers come again that came while a stream was parked."""
        for timer in self.held.pop(stream, ()):
            self._add(stream, timer, now_s)

    def forget(self, stream: str) -> None:
        """Drop the timers of a stream that has ended."""
        self.held.pop(stream, None)
        self.stale += len(self.known.pop(stream, ()))
        if self.stale > max(_STALE_MIN, len(self.heap) // 2):
            self.heap = [entry for entry in self.heap if self._is_known(entry)]
            heapq.heapify(self.heap)
            self.stale = 0

    def due(self, now_s: float) -> Iterator[tuple[str, Timer]]:
        """Take out the timers whose time has come."""
        while (next_s := self.next_s()) is not None and next_s <= now_s:
            _, stream, timer = heapq.heappop(self.heap)
            self._drop(stream, timer)
            yield stream, timer

    def next_s(self) -> float | None:
        """Return when the next timer is due; None if there is none."""
        while self.heap and not self._is_known(self.heap[0]):
            heapq.heappop(self.heap)
            self.stale -= 1
        return self.heap[0].due_s if self.heap else None

    def _add(self, stream: str, timer: Timer, due_s: float) -> None:
        known = self.known.setdefault(stream, {})
        if timer not in known:
            known[timer] = due_s
            heapq.heappush(self.heap, _Entry(due_s, stream, timer))

    def _drop(self, stream: str, timer: Timer) -> None:
        known = self.known[stream]
        del known[timer]
        if not known:
            del self.known[stream]

    def _is_known(self, entry: _Entry) -> bool:
        return self.known.get(entry.stream, {}).get(entry.timer) == entry.due_s

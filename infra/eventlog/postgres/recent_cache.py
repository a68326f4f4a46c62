"""Recent records of a log's topics in memory, so that readers need no query."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.eventlog.contract import Received

_OVERHEAD_BYTES = 1000
"""The approximate memory of a record beside its body."""


@dataclass(slots=True)
class _Topic:
    """One topic's newest records, complete above a position."""

    complete_after: int
    records: list[Received] = field(default_factory=list)
    size: int = 0

    def drop_older_half(self) -> None:
        drop = (len(self.records) + 1) // 2
        self.complete_after = self.records[drop - 1].position
        self.size -= sum(_size(r) for r in self.records[:drop])
        del self.records[:drop]


class RecentRecords:
    """The newest records by topic, complete above a known position.

    Only for a log with one writer, which adds all that it writes. A topic that exceeds
    a limit, of records or bytes, drops its older half.
    """

    def __init__(
        self, complete_after: int, *, records_max: int, bytes_max: int
    ) -> None:
        """Begin empty: all up to `complete_after` must be read from the log."""
        self._start = complete_after
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._topics: dict[str, _Topic] = {}
        self.end = complete_after

    def push(self, received: Sequence[Received]) -> None:
        """Add records, in the order of their positions."""
        for record in received:
            topic = self._topics.get(record.topic)
            if topic is None:
                topic = self._topics[record.topic] = _Topic(self._start)
            topic.records.append(record)
            topic.size += _size(record)
            if len(topic.records) > self._records_max or topic.size > self._bytes_max:
                topic.drop_older_half()
            self.end = max(self.end, record.position)

    def read(
        self, topics: Sequence[str], after: int, limit: int
    ) -> Sequence[Received] | None:
        """Return records after a position; None if older ones may be missing."""
        if after < self._start:
            return None
        found: list[Received] = []
        for name in topics:
            topic = self._topics.get(name)
            if topic is None:
                continue
            if after < topic.complete_after:
                return None
            at = bisect_right(topic.records, after, key=_position)
            found.extend(topic.records[at : at + limit])
        if len(topics) > 1:
            found.sort(key=_position)
        return found[:limit]


def _position(record: Received) -> int:
    return record.position


def _size(record: Received) -> int:
    return len(record.body) + _OVERHEAD_BYTES

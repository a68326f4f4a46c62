"""Recent records of a log's topics, kept in memory so that readers needn't ask."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from infra.log import Received


class Recent:
    """The newest records by topic, complete above a known position.

    Holds for a log with one writer only: whoever writes pushes everything here.
    """

    def __init__(self, complete_after: int, limit: int) -> None:
        """Start empty: everything up to `complete_after` must be read elsewhere."""
        self._start = complete_after
        self._limit = limit
        self._complete: dict[str, int] = {}
        self._records: dict[str, list[Received]] = {}
        self.end = complete_after

    def push(self, received: Sequence[Received]) -> None:
        """Take records up, in the order of their positions."""
        for record in received:
            self._records.setdefault(record.topic, []).append(record)
            self.end = max(self.end, record.position)
        for topic, records in self._records.items():
            if len(records) > 2 * self._limit:
                drop = len(records) - self._limit
                self._complete[topic] = records[drop - 1].position
                del records[:drop]

    def read(
        self, topics: Sequence[str], after: int, limit: int
    ) -> Sequence[Received] | None:
        """Return records after a position; None if older ones may be missing."""
        if any(after < self._complete.get(t, self._start) for t in topics):
            return None
        found: list[Received] = []
        for topic in topics:
            records = self._records.get(topic, [])
            at = bisect_right(records, after, key=lambda r: r.position)
            found.extend(records[at : at + limit])
        if len(topics) > 1:
            found.sort(key=lambda r: r.position)
        return found[:limit]

"""What readers in the writer's process get: recent records from memory, or a query."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.eventlog.contract import Received
from infra.eventlog.postgres.recent_cache import RecentRecords
from infra.setting_sections.storage import LogSettings

Select = Callable[[Sequence[str], int, int], Awaitable[Sequence[Received]]]
"""Returns records of topics after a position, at most so many and within the bytes of
the settings; raises InfraError."""


class RecordFeed:
    """Recent records in memory, as long as they are known to be complete."""

    def __init__(self, select: Select, settings: LogSettings) -> None:
        """Read what isn't in memory by `select`."""
        self.select = select
        self.poll_interval_s = settings.poll_interval_s
        self.read_bytes_max = settings.read_bytes_max
        self.news = asyncio.Event()
        self.recent: RecentRecords | None = None
        self._settings = settings

    def begin(self, end: int) -> None:
        """Keep records after this position."""
        self.recent = RecentRecords(
            end,
            records_max=self._settings.recent_records_max,
            bytes_max=self._settings.recent_bytes_max,
        )

    def push(self, received: Sequence[Received]) -> None:
        """Add records that were appended, and wake waiting readers."""
        if received:
            if self.recent is None:
                self.begin(received[0].position - 1)
            if self.recent is not None:
                self.recent.push(received)
        news, self.news = self.news, asyncio.Event()
        news.set()

    def invalidate(self) -> None:
        """Drop all: an append has an unknown outcome, so records may be missing."""
        self.recent = None

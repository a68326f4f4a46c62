"""Logs in memory that fail: out of reach, or too small for a record."""

from __future__ import annotations

from collections.abc import Sequence

from infra.errors import PermanentError, TransientError
from infra.eventlog.contract import Record
from tests.support.fakes import MemoryLog

STORED_MAX = 4_000


class SmallLog(MemoryLog):
    """A log that stores small records only."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append all, or refuse all."""
        if any(len(record.body) > STORED_MAX for record in records):
            raise PermanentError("Expected a small record, but it is large")
        await super().append(records)


class BlockableLog(MemoryLog):
    """A log that can be out of reach for who appends."""

    is_away = False

    def _insert(
        self, records: Sequence[Record], group: str | None, position: int
    ) -> None:
        if self.is_away:
            raise TransientError("away")
        super()._insert(records, group, position)

    def put(self, *records: Record) -> None:
        """Append what others send, for whom the log isn't out of reach."""
        super()._insert(records, None, 0)

"""A partition of a topic in memory: offsets, transactions, markers, retention."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from operator import attrgetter

Headers = tuple[tuple[str, bytes], ...]

_OFFSET = attrgetter("offset")


class Status(Enum):
    """How a transaction stands."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False, repr=False)
class Transaction:
    """One transaction of a producer: the partitions it touched, and group offsets."""

    began_s: float
    status: Status = Status.OPEN
    touched: list[Partition] = field(default_factory=list)
    offsets: list[tuple[str, str, int, int]] = field(default_factory=list)

    def touch(self, partition: Partition) -> None:
        """Add a partition, which gets a marker at the end."""
        if partition not in self.touched:
            self.touched.append(partition)
            partition.open[self] = partition.end


@dataclass(frozen=True, slots=True)
class Message:
    """What a producer sends."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Entry:
    """A message at its offset; a marker of a transaction's end has none."""

    offset: int
    timestamp_ms: int
    message: Message | None
    transaction: Transaction | None = None

    @property
    def is_committed(self) -> bool:
        """Return whether readers of committed messages are given it."""
        if self.message is None:
            return False
        return self.transaction is None or (self.transaction.status is Status.COMMITTED)


@dataclass(slots=True, eq=False, repr=False)
class Partition:
    """Entries in the order of their offsets; those before `start` are deleted."""

    topic: str
    number: int
    entries: list[Entry] = field(default_factory=list)
    start: int = 0
    end: int = 0
    open: dict[Transaction, int] = field(default_factory=dict)
    _readers: dict[asyncio.Future[None], None] = field(default_factory=dict)

    @property
    def stable_end(self) -> int:
        """The offset before which no transaction is open."""
        return min(self.open.values(), default=self.end)

    def append(
        self, message: Message | None, now_ms: int, transaction: Transaction | None
    ) -> int:
        """Append a message, or a marker; return its offset."""
        offset = self.end
        self.entries.append(Entry(offset, now_ms, message, transaction))
        self.end += 1
        self.wake()
        return offset

    def close(self, transaction: Transaction, now_ms: int) -> None:
        """Write the marker of a transaction that has ended."""
        del self.open[transaction]
        self.append(None, now_ms, None)

    def read(self, position: int, limit: int, end: int) -> tuple[list[Entry], int]:
        """Return committed messages from a position on, and where to go on.

        Markers and what was aborted advance the position without a message.
        """
        found: list[Entry] = []
        at = bisect_left(self.entries, position, key=_OFFSET)
        while at < len(self.entries) and len(found) < limit:
            entry = self.entries[at]
            if entry.offset >= end:
                break
            position = entry.offset + 1
            if entry.is_committed:
                found.append(entry)
            at += 1
        if len(found) < limit:
            position = max(position, end)
        return found, position

    def since(self, timestamp_ms: int) -> Entry | None:
        """Return the first entry appended at a time or later."""
        return next((e for e in self.entries if e.timestamp_ms >= timestamp_ms), None)

    def delete_before(self, offset: int) -> int:
        """Delete what is before an offset, as retention does; return how much."""
        count = bisect_left(self.entries, offset, key=_OFFSET)
        del self.entries[:count]
        self.start = max(self.start, min(offset, self.end))
        return count

    def compact(self) -> None:
        """Keep the newest message of each key; what isn't stable yet stays."""
        newest = {
            entry.message.key: entry.offset
            for entry in self._stable()
            if entry.message is not None and entry.is_committed
        }
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= self.stable_end
            or (
                entry.is_committed
                and entry.message is not None
                and newest[entry.message.key] == entry.offset
            )
        ]

    def _stable(self) -> Iterator[Entry]:
        return (entry for entry in self.entries if entry.offset < self.stable_end)

    def watch(self, reader: asyncio.Future[None]) -> None:
        """Wake a reader once there may be news."""
        self._readers[reader] = None
        reader.add_done_callback(lambda done: self._readers.pop(done, None))

    def wake(self) -> None:
        """Wake all readers that wait."""
        for reader in list(self._readers):
            if not reader.done():
                reader.set_result(None)

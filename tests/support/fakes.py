"""Twins in memory of the log and the event store; one contract suite holds both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import ConflictError, FencedError, PermanentError, TransientError
from infra.eventlog.contract import Pages, Positions, Received, Record, Release, Serve
from schemas import topics as t

_POLL_S = 1.0


@dataclass(slots=True)
class MemoryData:
    """What outlives a log: records, positions, and who holds them."""

    records: list[Received] = field(default_factory=list)
    known: dict[tuple[str, int], Record] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    newest: dict[tuple[str, str], Record] = field(default_factory=dict)
    holder: object | None = None
    epoch: int = 0
    last: int = 0


class MemoryLog:
    """A log in memory that keeps the contract of `infra.eventlog.contract`."""

    def __init__(
        self,
        data: MemoryData | None = None,
        poll_s: float = _POLL_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Use data that other logs may have left."""
        self.data = MemoryData() if data is None else data
        self.lose_next_answer = False
        self._poll_s = poll_s
        self._clock = clock
        self._epoch = self.data.epoch
        self._closed = False
        self._news = asyncio.Event()
        self._owners: dict[tuple[str, str], object] = {}

    async def open(self) -> None:
        """Take the log; raises Fenced if another has it."""
        if self.data.holder not in (None, self):
            message = "Expected to own this log, but another engine runs on its data"
            raise FencedError(message)
        self.data.holder = self
        self.data.epoch += 1
        self._epoch = self.data.epoch

    async def close(self) -> None:
        """Release the log."""
        self._closed = True
        if self.data.holder is self:
            self.data.holder = None

    async def append(self, records: Sequence[Record]) -> None:
        """Append; what is there already is dropped silently."""
        await asyncio.sleep(0)
        self._insert(records, None, 0)

    def _insert(
        self, records: Sequence[Record], group: str | None, position: int
    ) -> None:
        if self._closed:
            raise PermanentError("Expected an open log, but it is closed")
        if self.data.epoch != self._epoch:
            message = "Expected to own this log still, but another engine took it over"
            raise FencedError(message)
        compacted = [r for r in records if r.topic in t.COMPACTED]
        records = [r for r in records if r.topic not in t.COMPACTED]
        fresh = self._fresh(records)
        passed = group is not None and self.data.positions.get(group, 0) >= position
        if not fresh and not compacted and (passed or group is None):
            return
        repeats_event = any(
            _is_event(r) and _key(r) in self.data.known for r in records
        )
        if passed or repeats_event:
            raise FencedError(
                f"Expected to append {records}, but another engine wrote here"
            )
        for record in compacted:
            self.data.newest.pop((record.topic, record.key), None)
            if record.body:
                self.data.newest[record.topic, record.key] = record
        for key, record in fresh.items():
            self.data.last += 1
            self.data.known[key] = record
            self.data.records.append(record.at(self.data.last))
        if group is not None:
            self.data.positions[group] = position
        if self.lose_next_answer:
            self.lose_next_answer = False
            raise TransientError("the connection was lost")
        self._wake()

    def _fresh(self, records: Sequence[Record]) -> dict[tuple[str, int], Record]:
        fresh: dict[tuple[str, int], Record] = {}
        for record in records:
            key = _key(record)
            if "\0" in key[0]:
                raise PermanentError("Expected text, but it holds a zero byte")
            known = self.data.known.get(key) or fresh.get(key)
            if known is None:
                fresh[key] = record
            elif _is_event(record) and known != record:
                raise FencedError(f"Expected to append {key}, but it is there")
        return fresh

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve the one partition; who owned it is fenced."""
        key, token = (group, topic), object()
        self._owners[key] = token

        def check() -> None:
            if self._owners.get(key) is not token:
                raise FencedError(f"Expected to own {topic}, but somebody else does")

        await serve(MemoryPartition(self, group, (topic,), check), stop)

    @asynccontextmanager
    async def consume(
        self, group: str, topic: str, release: Release | None = None
    ) -> AsyncIterator[MemoryConsumer]:
        """Read a topic from the group's kept position; nobody takes it away."""
        yield MemoryConsumer(self, group, (topic,))

    async def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from a position on, without end."""
        cursor = _Cursor(self, topics, after.get(0, 0))
        while True:
            yield await cursor.read(limit)

    async def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield what is on a topic after positions and was there at the call."""
        del partition  # there is one
        end = (await self.end_positions((topic,)))[0]
        position = after.get(0, 0)
        cursor = _Cursor(self, (topic,), position)
        while position < end and (found := await cursor.read(limit)):
            position = found[-1].position
            yield found

    async def read_compacted(self, topic: str, partition: int) -> Pages:
        """Yield the newest record of each key of a compacted topic."""
        del partition  # there is one
        yield [r.at(0) for (at, _), r in self.data.newest.items() if at == topic]

    async def positions_before(self, received: Received, topic: str) -> Positions:
        """Return the position before a message: topics share one order here."""
        del topic
        return {0: received.position - 1}

    async def partitions(self, topic: str) -> int:
        """Return 1."""
        del topic
        return 1

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the events of a stream, by sequence."""
        found = [r for r in self._events(stream) if r.envelope.sequence > after]
        return found[:limit]

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream."""
        found = self._events(stream)
        return found[-1] if found else None

    def _events(self, stream: str) -> list[Received]:
        return [
            r for r in self.data.records if _is_event(r) and r.envelope.stream == stream
        ]

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position: of these topics, if any are given."""
        records = self.data.records
        found = [r.position for r in records if not topics or r.topic in topics]
        return {0: found[-1] if found else 0}

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's kept position."""
        del topic
        return {0: self.data.positions.get(group, 0)}

    async def trim(self, positions: Mapping[str, int], keep: int) -> int:
        """Delete handled messages of topics, but for the newest `keep` positions."""
        drop = [
            r
            for r in self.data.records
            if r.position <= positions.get(r.topic, 0) - keep
        ]
        for record in drop:
            self.data.records.remove(record)
            del self.data.known[_key(record)]
        return len(drop)


class _Cursor:
    """A place in the log, and what comes after it."""

    def __init__(self, log: MemoryLog, topics: Sequence[str], after: int) -> None:
        self._log, self._topics, self._after = log, topics, after

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        clock = self._log._clock
        until_s = clock.monotonic() + self._log._poll_s
        while True:
            news, found = self._log._news, self._next(limit)
            left_s = until_s - clock.monotonic()
            if found or left_s <= 0:
                return found
            with suppress(TimeoutError):
                async with clock.timeout(left_s):
                    await news.wait()

    def _next(self, limit: int) -> Sequence[Received]:
        found = [
            r
            for r in self._log.data.records
            if r.topic in self._topics and r.position > self._after
        ][:limit]
        if found:
            self._after = found[-1].position
        return found


class MemoryConsumer(_Cursor):
    """A reader with a kept position."""

    generation = 1

    def __init__(self, log: MemoryLog, group: str, topics: Sequence[str]) -> None:
        """Begin where the group is."""
        super().__init__(log, topics, log.data.positions.get(group, 0))
        self._group = group

    async def commit(self, positions: Positions) -> None:
        """Keep the position; an older one changes nothing."""
        kept = self._log.data.positions.get(self._group, 0)
        self._log.data.positions[self._group] = max(kept, positions.get(0, 0))

    async def confirm(self) -> None:
        """Return: nobody takes the partition away."""


class MemoryPartition(_Cursor):
    """The partition of commands, owned."""

    number = 0

    def __init__(
        self,
        log: MemoryLog,
        group: str,
        topics: Sequence[str],
        check: Callable[[], None],
    ) -> None:
        """Begin where the group is; `check` raises Fenced."""
        super().__init__(log, topics, log.data.positions.get(group, 0))
        self._group, self._check = group, check

    async def holds(self, key: str) -> bool:
        """Return True: there is one partition."""
        del key
        return True

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic."""
        return (await self._log.end_positions((topic,)))[0]

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append everything and move the position, or nothing."""
        await asyncio.sleep(0)
        self._check()
        group = None if position is None else self._group
        self._log._insert(records, group, position or 0)


class MemoryEventStore:
    """Streams with an expected version, in memory; `also` gets no cursor."""

    def __init__(self) -> None:
        """Begin empty."""
        self._streams: dict[str, list[Any]] = {}

    async def load(self, stream: str) -> list[Any]:
        """Return the events of a stream; its version is their number."""
        return list(self._streams.get(stream, ()))

    async def append(
        self,
        stream: str,
        expected_version: int,
        events: Sequence[Any],
        *,
        actor: str,
        also: Callable[[Any], None] | None = None,
    ) -> None:
        """Append events after a version; raises Conflict if others were first."""
        stored = self._streams.setdefault(stream, [])
        if len(stored) != expected_version:
            message = f"Expected {stream} at version {expected_version}, but it moved"
            raise ConflictError(message)
        if also is not None:
            also(None)
        stored.extend(events)


def _is_event(record: Record | Received) -> bool:
    return record.topic == t.EVENTS and record.envelope.sequence > 0


def _key(record: Record | Received) -> tuple[str, int]:
    if _is_event(record):
        return record.envelope.stream, record.envelope.sequence
    return f"{record.topic}:{record.envelope.id}", 0

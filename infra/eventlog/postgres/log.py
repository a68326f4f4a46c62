"""The log on Postgres: one partition, on the recorders of `eventsourcing`.

One writer, in a thread of its own. Readers in this process are served from memory as
long as they keep up, so that a new record costs them no query.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from eventsourcing.persistence import Tracking

from infra.errors import FencedError, PermanentError
from infra.eventlog.contract import (
    Consumer,
    Pages,
    Positions,
    Received,
    Record,
    Release,
    Serve,
)
from infra.eventlog.postgres.cursor import (
    FeedCursor,
    PostgresConsumer,
    PostgresPartition,
)
from infra.eventlog.postgres.feed import RecordFeed
from infra.eventlog.postgres.group_commit import GroupAppend
from infra.eventlog.postgres.queries import LogQueries
from infra.eventlog.postgres.rows import PARTITION
from infra.eventlog.postgres.writer import LogWriter
from infra.postgres.failures import outages_are_transient
from infra.retry import retry_transient
from infra.setting_sections.storage import LogSettings

_READERS = 2
_PAGE_ROWS = 1000
_TRIM_POSITIONS = 20_000
"""Positions of one deletion, so that appends don't wait long."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Opened:
    writer: LogWriter
    queries: LogQueries


class PostgresLog:
    """The log of one engine; `open` fences every other engine on the same data."""

    def __init__(self, url: str, settings: LogSettings) -> None:
        """Prepare; `open` connects."""
        self._url = url
        self._settings = settings
        self._write_thread = ThreadPoolExecutor(1, "log-writer")
        self._read_threads = ThreadPoolExecutor(_READERS, "log-reader")
        self._appends = GroupAppend(
            self._insert_records,
            settings.appends_max,
            records_max=settings.records_max,
            bytes_max=settings.bytes_max,
        )
        self._feed = RecordFeed(self._select, settings)
        self._owners: dict[tuple[str, str], object] = {}
        self._opened: _Opened | None = None

    async def open(self) -> None:
        """Create the tables and take the lock; raises FencedError if it is taken."""
        try:
            self._feed.begin(await self._in_writer(self._open))
        except BaseException:
            await self.close()
            raise

    def _open(self) -> int:
        writer = LogWriter(self._url, self._settings.lock_timeout_s)
        try:
            end = writer.open()
            queries = LogQueries(self._url, _READERS, self._settings.read_bytes_max)
            self._opened = _Opened(writer, queries)
        except BaseException:
            writer.close()
            raise
        return end

    async def close(self) -> None:
        """Finish appends in progress, and release the lock."""
        await self._appends.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._write_thread.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        if self._opened is not None:
            self._opened.writer.close()
            self._opened.queries.close()

    @property
    def _writer(self) -> LogWriter:
        return self._connections().writer

    @property
    def _queries(self) -> LogQueries:
        return self._connections().queries

    def _connections(self) -> _Opened:
        if self._opened is None:
            raise PermanentError("Expected an open log, but it was never opened")
        return self._opened

    async def append(self, records: Sequence[Record]) -> None:
        """Append records, durably; concurrent callers share a transaction."""
        await self._appends.append(records)

    async def _insert_records(self, records: Sequence[Record]) -> None:
        await self._insert(records, None)

    async def _insert(
        self, records: Sequence[Record], tracking: Tracking | None
    ) -> None:
        """Insert; readers get the records even if the caller is cancelled."""
        inserting = asyncio.get_running_loop().run_in_executor(
            self._write_thread, self._writer.insert, records, tracking
        )
        inserting.add_done_callback(self._on_inserted)
        await asyncio.shield(inserting)

    def _on_inserted(self, inserting: asyncio.Future[Sequence[Received]]) -> None:
        if inserting.cancelled():
            return
        error = inserting.exception()
        if error is None:
            self._feed.push(inserting.result())
        elif not isinstance(error, FencedError | PermanentError):
            self._feed.invalidate()

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve the one partition; its previous owner in this process is fenced."""
        key, token = (group, topic), object()
        self._owners[key] = token

        async def commit(records: Sequence[Record], position: int | None) -> None:
            if self._owners.get(key) is not token:
                message = f"Expected to own {topic} for {group}, but another does"
                raise FencedError(message)
            tracking = None if position is None else Tracking(group, position)
            await self._insert(records, tracking)

        after = await self._retried_position(group)
        partition = PostgresPartition(
            self._feed, topic, after, commit=commit, end_position=self._end_position
        )
        await serve(partition, stop)

    def consume(
        self, group: str, topic: str, release: Release | None = None
    ) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic from the group's stored position."""
        del release  # nobody else gets the partition
        return self._consume(group, topic)

    @asynccontextmanager
    async def _consume(self, group: str, topic: str) -> AsyncIterator[Consumer]:
        after = await self._retried_position(group)
        save = partial(self.save_position, group)
        yield PostgresConsumer(self._feed, topic, after, save)

    async def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from a position on, without end."""
        cursor = FeedCursor(self._feed, topics, after.get(PARTITION, 0))
        while True:
            yield await cursor.read(limit)

    async def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield the messages of a topic after positions, up to the end at the call."""
        del partition  # there is one
        end = await self._end_position(topic)
        position = after.get(PARTITION, 0)
        cursor = FeedCursor(self._feed, (topic,), position)
        while position < end and (found := await cursor.read(limit)):
            position = found[-1].position
            yield found

    async def read_compacted(self, topic: str, partition: int) -> Pages:
        """Yield the newest message of each key of a compacted topic."""
        del partition  # there is one
        after = ""

        def select() -> Sequence[Received]:
            return self._queries.compacted(topic, after, _PAGE_ROWS)

        while found := await self._in_reader(select):
            yield found
            after = found[-1].key

    async def positions_before(self, received: Received, topic: str) -> Positions:
        """Return the position before a message: topics share one order here."""
        del topic
        return {PARTITION: received.position - 1}

    async def partitions(self, topic: str) -> int:
        """Return 1."""
        del topic
        return 1

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the events of a stream, by sequence; positions aren't known (0)."""
        return await self._in_reader(
            lambda: self._queries.events(stream, after or None, limit)
        )

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream; its position isn't known (0)."""
        return await self._in_reader(lambda: self._queries.last_event(stream))

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position, of these topics if any are given."""
        return {PARTITION: await self._in_reader(lambda: self._queries.end(topics))}

    async def _end_position(self, topic: str) -> int:
        return (await self.end_positions((topic,)))[PARTITION]

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored position: it has one for all topics."""
        del topic
        return {PARTITION: await self._position(group)}

    async def _position(self, group: str) -> int:
        return await self._in_reader(lambda: self._queries.position(group))

    async def _retried_position(self, group: str) -> int:
        return await retry_transient(lambda: self._position(group), "start_delayed")

    async def save_position(self, group: str, position: int) -> None:
        """Store a group's position; an older one changes nothing."""
        await self._in_writer(lambda: self._writer.save_position(group, position))

    async def trim(self, positions: Mapping[str, int], keep: int) -> int:
        """Delete handled messages of topics, but for the newest `keep` positions."""
        count = 0
        for topic, position in positions.items():
            count += await self._trim_topic(topic, position - keep)
        return count

    async def _trim_topic(self, topic: str, end: int) -> int:
        group, count = f"trim/{topic}", 0
        after = await self._position(group)
        while after < end:
            up_to = min(after + _TRIM_POSITIONS, end)
            trim = partial(self._writer.trim, topic, after, up_to)
            count += await self._in_writer(trim)
            await self.save_position(group, up_to)
            after = up_to
        return count

    async def _select(
        self, topics: Sequence[str], after: int, limit: int
    ) -> Sequence[Received]:
        return await self._in_reader(
            lambda: self._queries.records(topics, after, limit)
        )

    async def _in_writer(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._write_thread, function)

    async def _in_reader(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        with outages_are_transient():
            return await loop.run_in_executor(self._read_threads, function)

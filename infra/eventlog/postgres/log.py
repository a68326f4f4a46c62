"""The log on Postgres: one partition, on the recorders of `eventsourcing`.

One writer, in a thread of its own; readers in this process are served from memory as
long as they keep up, so that news costs no query.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeVar

import structlog
from eventsourcing.persistence import InterfaceError, OperationalError, Tracking
from psycopg.sql import SQL, Identifier

from infra.errors import FencedError, PermanentError, TransientError
from infra.eventlog.contract import Consumer, Received, Record, Serve
from infra.eventlog.postgres import compacted as log_compacted
from infra.eventlog.postgres.group_commit import GroupAppend
from infra.eventlog.postgres.recent_cache import RecentRecords
from infra.eventlog.postgres.rows import PARTITION, from_row
from infra.eventlog.postgres.writer import EVENTS_TABLE, POSITIONS_TABLE, LogWriter
from infra.postgres.recorder import SingleWriterRecorder, datastore
from infra.retry import retry_transient
from infra.setting_sections import LogSettings

log_ = structlog.get_logger(__name__)

_READERS = 2
_PAGE_ROWS = 1000
_END_OF = SQL(
    "SELECT notification_id FROM {} WHERE topic = ANY(%s) "
    "ORDER BY notification_id DESC LIMIT 1"
).format(Identifier(EVENTS_TABLE))
_TRIM_POSITIONS = 20_000
"""Positions that one deletion looks at, so that appends needn't wait long."""
_T = TypeVar("_T")


class PostgresLog:
    """The log of one engine; `open` fences every other engine on its data."""

    def __init__(self, url: str, settings: LogSettings) -> None:
        """Prepare; `open` connects."""
        self._url = url
        self._settings = settings
        self._write_thread = ThreadPoolExecutor(1, "log-writer")
        self._read_threads = ThreadPoolExecutor(_READERS, "log-reader")
        self._news = asyncio.Event()
        self._appends = GroupAppend(self._insert_alone, settings.appends_max)
        self._recent: RecentRecords | None = None
        self._owners: dict[tuple[str, str], object] = {}
        self._writer: LogWriter
        self._reader: SingleWriterRecorder

    async def open(self) -> None:
        """Create the tables and take the log; raises Fenced if an engine has it."""
        try:
            self._recent = self._remember(await self._in_writer(self._open))
        except BaseException:
            await self.close()
            raise

    def _open(self) -> int:
        self._writer = LogWriter(self._url, self._settings.lock_timeout_s)
        end = self._writer.open()
        self._reader = SingleWriterRecorder(
            datastore(self._url, connections=_READERS),
            events_table_name=EVENTS_TABLE,
            tracking_table_name=POSITIONS_TABLE,
        )
        return end

    async def close(self) -> None:
        """Finish what was begun, and let go of the log."""
        await self._appends.close()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._write_thread.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        for part in (
            getattr(self, "_writer", None),
            getattr(getattr(self, "_reader", None), "datastore", None),
        ):
            if part is not None:
                part.close()

    async def append(self, records: Sequence[Record]) -> None:
        """Append; callers at the same time share a transaction."""
        await self._appends.append(records)

    async def _insert_alone(self, records: Sequence[Record]) -> None:
        await self._insert(records, None)

    async def _insert(
        self, records: Sequence[Record], tracking: Tracking | None
    ) -> None:
        """Insert; what was inserted is taken up even if nobody waits any more."""
        done = asyncio.get_running_loop().run_in_executor(
            self._write_thread, self._writer.insert, records, tracking
        )
        done.add_done_callback(self._take_up)
        await asyncio.shield(done)

    def _take_up(self, done: asyncio.Future[Sequence[Received]]) -> None:
        """Give news to the readers; an answer that was lost makes memory gappy."""
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or isinstance(error, FencedError | PermanentError):
            return
        if error is not None:
            self._recent = None
            return
        received = done.result()
        if received:
            if self._recent is None:
                self._recent = self._remember(received[0].position - 1)
            self._recent.push(received)
        self._wake()

    def _remember(self, complete_after: int) -> RecentRecords:
        return RecentRecords(
            complete_after,
            records_max=self._settings.recent_records_max,
            bytes_max=self._settings.recent_bytes_max,
        )

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve the one partition; who owned it in this process is fenced."""
        key, token = (group, topic), object()
        self._owners[key] = token

        def check() -> None:
            if self._owners.get(key) is not token:
                message = f"Expected to own {topic} for {group}, but somebody else does"
                raise FencedError(message)

        position = await self._position(group)
        await serve(_Owned(self, group, topic, position, check), stop)

    def consume(self, group: str, topic: str) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic from the group's kept position."""
        return self._consumed(group, topic)

    @asynccontextmanager
    async def _consumed(self, group: str, topic: str) -> AsyncIterator[Consumer]:
        yield _Consumer(self, group, topic, await self._position(group))

    async def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow topics from a position on, for ever."""
        cursor = _Cursor(self, topics, after.get(PARTITION, 0))
        while True:
            yield await cursor.read(limit)

    async def read_to_end(
        self,
        topic: str,
        after: Mapping[int, int],
        limit: int,
        partition: int | None = None,
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic after positions and was there at the call."""
        del partition  # there is one
        end = (await self.end_positions((topic,)))[PARTITION]
        position = after.get(PARTITION, 0)
        cursor = _Cursor(self, (topic,), position)
        while position < end and (found := await cursor.read(limit)):
            position = found[-1].position
            yield found

    async def read_compacted(
        self, topic: str, partition: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield the newest record of each key of a compacted topic."""
        del partition  # there is one
        after = ""

        def select() -> Sequence[Received]:
            with self._reader.datastore.get_connection() as conn:
                return log_compacted.page(conn, topic, after, _PAGE_ROWS)

        while found := await self._in_reader(select):
            yield found
            after = found[-1].key

    async def positions_before(
        self, received: Received, topic: str
    ) -> Mapping[int, int]:
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
        """Return the events of a stream, by sequence; positions are not known (0)."""
        return await self._events(stream, gt=after or None, limit=limit)

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream; its position is not known (0)."""
        found = await self._events(stream, desc=True, limit=1)
        return found[0] if found else None

    async def _events(self, stream: str, **bounds: Any) -> Sequence[Received]:
        def select() -> Sequence[Received]:
            rows = self._reader.select_events(stream, **bounds)
            return [from_row(r.topic, r.originator_version, r.state, 0) for r in rows]

        return await self._in_reader(select)

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position: of these topics, if any are given."""

        def select() -> int:
            if not topics:
                return self._reader.max_notification_id() or 0
            with self._reader.datastore.get_connection() as conn:
                row = conn.execute(_END_OF, (list(topics),)).fetchone()
            return int(row["notification_id"]) if row else 0

        return {PARTITION: await self._in_reader(select)}

    async def positions(self, group: str, topic: str) -> Mapping[int, int]:
        """Return a group's kept position: it has one for all topics."""
        del topic
        return {PARTITION: await self._position(group)}

    async def _position(self, group: str) -> int:
        return await self._in_reader(lambda: self._reader.max_tracking_id(group) or 0)

    async def keep_position(self, group: str, position: int) -> None:
        """Keep a consumer's position; an older one changes nothing."""
        await self._in_writer(lambda: self._writer.keep_position(group, position))

    async def trim(self, positions: Mapping[str, int], keep: int) -> int:
        """Delete handled messages of topics, but for the newest `keep` positions."""
        count = 0
        for topic, position in positions.items():
            group = f"trim/{topic}"
            after, end = await self._position(group), position - keep
            while after < end:
                up_to = min(after + _TRIM_POSITIONS, end)
                count += await self._in_writer(
                    lambda: self._writer.trim(topic, after, up_to)  # noqa: B023 - awaited at once
                )
                await self.keep_position(group, up_to)
                after = up_to
        return count

    async def _in_writer(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._write_thread, function)

    async def _in_reader(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._read_threads, function)
        except (OperationalError, InterfaceError) as error:
            raise TransientError(str(error)) from error


class _Cursor:
    """A place in the log, and what comes after it."""

    def __init__(self, log: PostgresLog, topics: Sequence[str], after: int) -> None:
        self._log, self._topics, self._after = log, list(topics), after

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._log._settings.poll_interval_s  # noqa: SLF001 - one module
        while True:
            news = self._log._news  # noqa: SLF001
            found = await self._next(limit)
            if found or loop.time() >= until:
                return found
            try:
                async with asyncio.timeout_at(until):
                    await news.wait()
            except TimeoutError:
                continue

    async def _next(self, limit: int) -> Sequence[Received]:
        recent = self._log._recent  # noqa: SLF001
        known_end = self._after if recent is None else recent.end
        found: Sequence[Received] | None = None
        if recent is not None:
            found = recent.read(self._topics, self._after, limit)
        if found is None:
            found = await retry_transient(
                lambda: self._log._in_reader(lambda: self._select(limit)),  # noqa: SLF001
                "read_delayed",
            )
        if found:
            self._after = found[-1].position
        else:
            self._after = max(self._after, known_end)
        return found

    def _select(self, limit: int) -> Sequence[Received]:
        rows = self._log._reader.select_notifications(  # noqa: SLF001
            self._after, limit, topics=self._topics, inclusive_of_start=False
        )
        return [
            from_row(row.topic, row.originator_version, row.state, row.id)
            for row in rows
        ]


class _Consumer(_Cursor):
    """A reader with a kept position."""

    generation = 1

    def __init__(self, log: PostgresLog, group: str, topic: str, position: int) -> None:
        super().__init__(log, (topic,), position)
        self._group = group

    async def commit(self, positions: Mapping[int, int]) -> None:
        """Keep the position."""
        if PARTITION in positions:
            await self._log.keep_position(self._group, positions[PARTITION])


class _Owned(_Cursor):
    """The partition of commands, owned."""

    number = PARTITION

    def __init__(
        self,
        log: PostgresLog,
        group: str,
        topic: str,
        position: int,
        check: Callable[[], None],
    ) -> None:
        super().__init__(log, (topic,), position)
        self._group, self._check = group, check

    async def holds(self, key: str) -> bool:
        """Return True: there is one partition."""
        del key
        return True

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic."""
        return (await self._log.end_positions((topic,)))[PARTITION]

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append and move the position in one transaction."""
        self._check()
        tracking = None if position is None else Tracking(self._group, position)
        await self._log._insert(records, tracking)  # noqa: SLF001 - one module

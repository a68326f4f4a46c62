"""The log on Postgres as other processes read it: events only, nothing owned."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import errors
from psycopg.rows import class_row
from psycopg.sql import SQL

from infra.errors import PermanentError
from infra.eventlog.contract import BEGINNING, Pages, Positions, Received
from infra.eventlog.postgres.rows import PARTITION, from_row
from infra.postgres.pool import Pool
from schemas import topics

PAGE_ROWS = 1000

_STREAM = SQL(
    "SELECT topic, originator_version, state, notification_id FROM flightlog_log "
    "WHERE originator_id = %s AND originator_version > %s "
    "ORDER BY originator_version LIMIT %s"
)
_TAIL = SQL(
    "SELECT topic, originator_version, state, notification_id FROM flightlog_log "
    "WHERE topic = %s AND notification_id > %s ORDER BY notification_id LIMIT %s"
)
_COUNT = SQL("SELECT count(*) AS value FROM flightlog_log WHERE topic = %s")
_END = SQL("SELECT coalesce(max(notification_id), 0) AS value FROM flightlog_log")
_END_OF = SQL(
    "SELECT coalesce(max(notification_id), 0) AS value FROM flightlog_log "
    "WHERE topic = ANY(%s)"
)
_POSITION = SQL(
    "SELECT coalesce(max(notification_id), 0) AS value FROM flightlog_positions "
    "WHERE application_name = %s"
)


@dataclass(frozen=True, slots=True)
class _LogRow:
    topic: str
    originator_version: int
    state: bytes
    notification_id: int


@dataclass(frozen=True, slots=True)
class _Number:
    value: int


@dataclass(frozen=True, slots=True)
class LogReader:
    """Reads events in pages; raises PermanentError where there is no log."""

    pool: Pool
    poll_s: float = 0.25

    async def stream(self, stream: str, after: int = 0) -> Pages:
        """Yield the events of a stream after a sequence number, page by page."""
        while page := await self._page(_STREAM, stream, after):
            yield page
            after = page[-1].envelope.sequence

    async def follow_stream(self, stream: str) -> Pages:
        """Follow the events of a stream from its first one, without end."""
        after = 0
        while True:
            async for page in self.stream(stream, after):
                yield page
                after = page[-1].envelope.sequence
            await asyncio.sleep(self.poll_s)

    async def follow(self, after: Positions) -> Pages:
        """Follow all events after a position, without end."""
        last = after.get(PARTITION, 0)
        while True:
            page = await self._page(_TAIL, topics.EVENTS, last)
            if page:
                yield page
                last = page[-1].position
            else:
                await asyncio.sleep(self.poll_s)

    async def read_range(
        self, end: Positions, topic: str = topics.EVENTS, after: Positions = BEGINNING
    ) -> Pages:
        """Yield a topic's messages after a position and up to another, in pages."""
        last, to = after.get(PARTITION, 0), end.get(PARTITION, 0)
        while last < to and (page := await self._page(_TAIL, topic, last)):
            yield [received for received in page if received.position <= to]
            last = page[-1].position

    async def since(self, at_us: int) -> Positions:
        """Return the position before the first event recorded from a time on.

        Times hardly ever run backwards: a binary search finds it.
        """
        low, high = 0, (await self.end_positions((topics.EVENTS,)))[PARTITION]
        while low < high:
            middle = (low + high) // 2
            page = await self._page(_TAIL, topics.EVENTS, middle, limit=1)
            if page and page[0].envelope.recorded_at_us < at_us:
                low = page[0].position
            else:
                high = middle
        return {PARTITION: low}

    async def count_events(self) -> int:
        """Return the number of messages on the events topic."""
        return await self._number(_COUNT, topics.EVENTS)

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position, of these topics if any are given."""
        if topics:
            return {PARTITION: await self._number(_END_OF, list(topics))}
        return {PARTITION: await self._number(_END)}

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored position: it has one for all topics."""
        del topic
        return {PARTITION: await self._number(_POSITION, group)}

    async def _number(self, query: SQL, *values: str | list[str]) -> int:
        async with self.pool.connection() as conn:
            cursor = conn.cursor(row_factory=class_row(_Number))
            try:
                await cursor.execute(query, values)
            except errors.UndefinedTable as error:
                raise _no_log() from error
            row = await cursor.fetchone()
        return row.value if row is not None else 0

    async def _page(
        self, query: SQL, of: str, after: int, limit: int = PAGE_ROWS
    ) -> list[Received]:
        async with self.pool.connection() as conn:
            cursor = conn.cursor(row_factory=class_row(_LogRow))
            try:
                await cursor.execute(query, (of, after, limit))
            except errors.UndefinedTable as error:
                raise _no_log() from error
            rows = await cursor.fetchall()
        return [
            from_row(r.topic, r.originator_version, r.state, r.notification_id)
            for r in rows
        ]


def _no_log() -> PermanentError:
    return PermanentError("Expected a log in this database, but there is none")

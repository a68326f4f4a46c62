"""The log on Postgres as other processes read it: facts only, nothing owned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import errors
from psycopg.sql import SQL

from infra.database import Pool
from infra.errors import Permanent
from infra.log import Received
from infra.log_rows import from_row
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
_COUNT = SQL("SELECT count(*) FROM flightlog_log WHERE topic = %s")
_END = SQL("SELECT coalesce(max(notification_id), 0) AS last FROM flightlog_log")
_END_OF = SQL(
    "SELECT coalesce(max(notification_id), 0) AS last FROM flightlog_log "
    "WHERE topic = ANY(%s)"
)
_POSITION = SQL(
    "SELECT coalesce(max(notification_id), 0) AS last FROM flightlog_positions "
    "WHERE application_name = %s"
)


@dataclass(frozen=True, slots=True)
class LogReader:
    """Reads facts in pages; raises Permanent where there is no log."""

    pool: Pool
    poll_s: float = 0.25

    async def stream(
        self, stream: str, after: int = 0
    ) -> AsyncIterator[Sequence[Received]]:
        """Return the facts of a stream after a sequence, page by page."""
        while page := await self._rows(_STREAM, (stream, after, PAGE_ROWS)):
            yield page
            after = page[-1].envelope.sequence

    async def follow(
        self, after: int, stream: str = ""
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow the facts, of one stream or of all, for ever.

        `after` is a sequence for one stream, else a position.
        """
        while True:
            if stream:
                page = await self._rows(_STREAM, (stream, after, PAGE_ROWS))
                after = page[-1].envelope.sequence if page else after
            else:
                page = await self._rows(_TAIL, (topics.EVENTS, after, PAGE_ROWS))
                after = page[-1].position if page else after
            if page:
                yield page
            else:
                await asyncio.sleep(self.poll_s)

    async def upto(
        self,
        end: int,
        topic: str = topics.EVENTS,
        after: int = 0,
        limit: int = PAGE_ROWS,
    ) -> AsyncIterator[Sequence[Received]]:
        """Return what is on a topic up to a position, page by page."""
        while page := await self._rows(_TAIL, (topic, after, limit)):
            yield [received for received in page if received.position <= end]
            after = page[-1].position
            if after >= end:
                return

    async def count_events(self) -> int:
        """Return how many messages there are on the events topic."""
        async with self.pool.connection() as conn:
            row = await (await conn.execute(_COUNT, (topics.EVENTS,))).fetchone()
        return int(str(row["count"])) if row else 0

    async def end(self, topics: Sequence[str] = ()) -> int:
        """Return the last position: of these topics, if any are given."""
        if topics:
            return await self._number(_END_OF, (list(topics),))
        return await self._number(_END, ())

    async def position(self, group: str) -> int:
        """Return a group's kept position; 0 before the first."""
        return await self._number(_POSITION, (group,))

    async def _number(self, query: SQL, values: tuple[Any, ...]) -> int:
        try:
            async with self.pool.connection() as conn:
                row = await (await conn.execute(query, values)).fetchone()
        except errors.UndefinedTable as error:
            message = "Expected a log in this database, but there is none"
            raise Permanent(message) from error
        return int(str(row["last"])) if row else 0

    async def _rows(self, query: SQL, values: tuple[Any, ...]) -> list[Received]:
        try:
            async with self.pool.connection() as conn:
                rows = await (await conn.execute(query, values)).fetchall()
        except errors.UndefinedTable as error:
            message = "Expected a log in this database, but there is none"
            raise Permanent(message) from error
        return [
            from_row(
                str(row["topic"]),
                int(str(row["originator_version"])),
                bytes(row["state"]),  # type: ignore[call-overload]
                int(str(row["notification_id"])),
            )
            for row in rows
        ]

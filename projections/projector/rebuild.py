"""Views folded anew beside the live ones, in a schema of their own, and compared.

The shadow is folded exactly as far as the live views are, so that the two can be
compared row by row; the rows of the shadow can then take the live ones' place.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composed, Identifier

from infra.eventlog.contract import Received
from infra.postgres.pool import Pool, open_pool, queries
from projections.positions import PROJECTOR, stored_positions
from projections.projector.projector import Projector
from projections.projector.start_position import ReplayStart
from projections.sql_files import SQL_FILES

SCHEMA = "flightlog_shadow"
_SQL = queries(SQL_FILES / "shadow.sql")
_BESIDE = ("projector_positions", "outcomes", "catalog_reservations")
"""Tables that a projector writes and that no fold of events alone gives."""
_SAMPLES_MAX = 5
_OF_ALL = ("catalog",)
"""Views whose rows aren't of one execution: no part of them can be compared."""

Progress = Callable[[int], None]
Positions = Mapping[int, int]
Read = Callable[[Positions, Positions], AsyncIterator[Sequence[Received]]]
"""Reads the events after positions and up to others, then ends."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between a live view and its rebuilt one: rows on one side only."""

    table: str
    only_live: int
    only_rebuilt: int
    samples: tuple[str, ...] = ()

    @property
    def is_none(self) -> bool:
        """Tell whether both have the same rows."""
        return not self.only_live and not self.only_rebuilt


def view_names() -> tuple[str, ...]:
    """Return the tables that are folded from events: those that a rebuild empties."""
    emptied = queries(SQL_FILES / "projector.sql")["empty"]
    return tuple(re.findall(r"\w+", emptied.partition("TRUNCATE")[2]))


class _UpTo:
    """Events up to positions, in the shape that a projector follows."""

    def __init__(self, read: Read, end: Positions, since: ReplayStart | None) -> None:
        self._read = read
        self._end = end
        self._since = since

    async def tail(
        self, topics: Sequence[str], after: Positions, limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        del topics, limit
        async for page in self._read(after, self._end):
            kept = page if self._since is None else self._since.keep(page)
            if kept:
                yield kept
        while True:
            yield ()

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        del topics
        return self._end


class Rebuild:
    """The rebuilt views; `folded` counts the events that went into them.

    Where no projector has been yet there is nothing to be as far as: the views are
    folded up to `end`, and a swap puts them and their positions in place.
    `since` leaves everything else aside than the executions that begin there.
    """

    def __init__(
        self,
        pool: Pool,
        shadow: Pool,
        read: Read,
        end: Positions,
        since: ReplayStart | None = None,
    ) -> None:
        """Take the pools of the live schema and of the shadow's."""
        self._since = since
        self._pool = pool
        self._shadow = shadow
        self._read = read
        self._end = end
        self.folded = 0

    async def catch_up(self, progress: Progress) -> None:
        """Fold every event that the live views have."""
        if self._since is not None:
            async with self._shadow.connection() as conn:
                for partition, position in self._since.positions.items():
                    await conn.execute(_SQL["begin"], (PROJECTOR, partition, position))
        async with self._pool.connection() as conn:
            await self._fold(await stored_positions(conn) or self._end, progress)

    async def _fold(self, end: Positions, progress: Progress) -> None:
        before = self.folded
        projector = Projector(
            _UpTo(self._read, end, self._since),
            self._shadow,
            outcomes=False,
            progress=lambda count: progress(before + count),
        )
        await projector.catch_up()
        self.folded += projector.applied

    async def compare_and_swap(self, *, swap: bool) -> Sequence[Difference]:
        """Compare each view with its rebuilt one, and put the rebuilt rows in place.

        All in one transaction, which a running projector waits for.
        """
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(_SQL["hold"])
            kept = await stored_positions(conn)
            await self._fold(kept or self._end, lambda _: None)
            part = self._since is not None
            found = [
                await _compared(conn, table, part=part)
                for table in view_names()
                if not part or table not in _OF_ALL
            ]
            if swap:
                for difference in found:
                    if not difference.is_none:
                        await _replace(conn, difference.table, part=part)
                if not kept and not part:
                    await _replace(conn, "projector_positions")
        return found


@asynccontextmanager
async def open_rebuild(
    url: str, pool: Pool, read: Read, end: Positions, since: ReplayStart | None = None
) -> AsyncIterator[Rebuild]:
    """Make an empty shadow of the views' tables; it is gone afterwards."""
    async with pool.connection() as conn:
        await conn.execute(_SQL["drop"])
        await conn.execute(_SQL["create"])
        for table in (*view_names(), *_BESIDE):
            await conn.execute(_twin(table))
    path = f"-csearch_path={SCHEMA}"
    shadow = await open_pool(make_conninfo(url, options=path), size=2)
    try:
        yield Rebuild(pool, shadow, read, end, since)
    finally:
        await shadow.close()
        async with pool.connection() as conn:
            await conn.execute(_SQL["drop"])


def _twin(table: str) -> Composed:
    return SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
        Identifier(SCHEMA, table), Identifier("public", table)
    )


async def _compared(
    conn: AsyncConnection[Any], table: str, *, part: bool
) -> Difference:
    live, rebuilt = Identifier("public", table), Identifier(SCHEMA, table)
    columns = await _columns(conn, table)
    only_live, lost = await _minus(conn, columns, live, rebuilt, part=part)
    only_rebuilt, gained = await _minus(conn, columns, rebuilt, live, part=part)
    samples = [f"live: {row}" for row in lost] + [f"rebuilt: {row}" for row in gained]
    return Difference(
        table=table,
        only_live=only_live,
        only_rebuilt=only_rebuilt,
        samples=tuple(samples),
    )


async def _minus(
    conn: AsyncConnection[Any],
    columns: Composed,
    one: Identifier,
    other: Identifier,
    *,
    part: bool,
) -> tuple[int, Sequence[str]]:
    statement = SQL(
        "WITH d AS (SELECT {c} FROM {one} {w} EXCEPT SELECT {c} FROM {other}) "
        "SELECT count(*) OVER () AS n, d::text AS line FROM d ORDER BY line LIMIT {m}"
    ).format(c=columns, one=one, other=other, m=_SAMPLES_MAX, w=_where(part=part))
    rows = await (await conn.execute(statement)).fetchall()
    return (rows[0]["n"] if rows else 0), [row["line"] for row in rows]


async def _columns(conn: AsyncConnection[Any], table: str) -> Composed:
    statement: LiteralString = _SQL["columns"]
    rows = await (await conn.execute(statement, (table,))).fetchall()
    return SQL(", ").join(Identifier(row["column_name"]) for row in rows)


def _where(*, part: bool) -> Composed:
    """Return the clause that leaves rows of other executions aside."""
    if not part:
        return SQL("").format()
    executions = Identifier(SCHEMA, "executions")
    return SQL("WHERE stream IN (SELECT stream FROM {})").format(executions)


async def _replace(
    conn: AsyncConnection[Any], table: str, *, part: bool = False
) -> None:
    """Put the rebuilt rows where the live ones are; names and indexes stay."""
    live, rebuilt = Identifier("public", table), Identifier(SCHEMA, table)
    columns = await _columns(conn, table)
    if part:
        where = _where(part=True)
        await conn.execute(SQL("DELETE FROM {} {w}").format(live, w=where))
    else:
        await conn.execute(SQL("TRUNCATE {}").format(live))
    await conn.execute(
        SQL("INSERT INTO {} ({c}) SELECT {c} FROM {}").format(live, rebuilt, c=columns)
    )

"""Views folded anew beside the live ones, in a schema of their own, and compared.

The shadow is folded exactly as far as the live views are, so that the two can be
compared row by row; the rows of the shadow can then take the live ones' place.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString

import msgspec
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composed, Identifier

from infra.database import Pool, open_pool, queries
from infra.log import Received
from projections.projector import NAME, Projector

SCHEMA = "flightlog_shadow"
_FILES = Path(__file__).parent / "sql"
_SQL = queries(_FILES / "shadow.sql")
_BESIDE = ("projector_positions", "outcomes", "catalog_reservations")
"""Tables that a projector writes and that no fold of facts alone gives."""
_SAMPLES_MAX = 5

Progress = Callable[[int], None]
Follow = Callable[[int], AsyncIterator[Sequence[Received]]]
"""Follows the events after a position, for ever."""


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
    """Return the tables that are folded from facts: those that a rebuild empties."""
    emptied = queries(_FILES / "projector.sql")["empty"]
    return tuple(re.findall(r"\w+", emptied.partition("TRUNCATE")[2]))


class _UpTo:
    """Events up to a position, in the shape that a projector follows."""

    def __init__(self, follow: Follow, end: int) -> None:
        self._follow = follow
        self._end = end

    async def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        del topics, limit
        async for page in self._follow(after.get(0, 0)):
            yield [received for received in page if received.position <= self._end]

    async def end(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        del topics
        return {0: self._end}


class Shadow:
    """The rebuilt views; `folded` counts the events that went into them."""

    def __init__(self, pool: Pool, shadow: Pool, follow: Follow) -> None:
        """Take the pools of the live schema and of the shadow's."""
        self._pool = pool
        self._shadow = shadow
        self._follow = follow
        self.folded = 0

    async def catch_up(self, progress: Progress) -> None:
        """Fold every event that the live views have."""
        async with self._pool.connection() as conn:
            await self._fold(conn, progress)

    async def _fold(self, conn: AsyncConnection[Any], progress: Progress) -> None:
        rows = await (await conn.execute(_SQL["kept"], (NAME,))).fetchall()
        end = max((row["position"] for row in rows), default=0)
        before = self.folded
        projector = Projector(
            _UpTo(self._follow, end),
            self._shadow,
            outcomes=False,
            progress=lambda count: progress(before + count),
        )
        await projector.catch_up()
        self.folded += projector.applied

    async def settle(self, *, swap: bool) -> Sequence[Difference]:
        """Compare each view with its rebuilt one, and put the rebuilt rows in place.

        All in one transaction, which a running projector waits for.
        """
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(_SQL["hold"])
            await self._fold(conn, lambda _: None)
            found = [await _compared(conn, table) for table in view_names()]
            if swap:
                for difference in found:
                    if not difference.is_none:
                        await _replace(conn, difference.table)
        return found


@asynccontextmanager
async def shadowed(url: str, pool: Pool, follow: Follow) -> AsyncIterator[Shadow]:
    """Make an empty shadow of the views' tables; it is gone afterwards."""
    async with pool.connection() as conn:
        await conn.execute(_SQL["drop"])
        await conn.execute(_SQL["create"])
        for table in (*view_names(), *_BESIDE):
            await conn.execute(_twin(table))
    path = f"-csearch_path={SCHEMA}"
    shadow = await open_pool(make_conninfo(url, options=path), size=2)
    try:
        yield Shadow(pool, shadow, follow)
    finally:
        await shadow.close()
        async with pool.connection() as conn:
            await conn.execute(_SQL["drop"])


def _twin(table: str) -> Composed:
    return SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
        Identifier(SCHEMA, table), Identifier("public", table)
    )


async def _compared(conn: AsyncConnection[Any], table: str) -> Difference:
    live, rebuilt = Identifier("public", table), Identifier(SCHEMA, table)
    columns = await _columns(conn, table)
    only_live, lost = await _minus(conn, columns, live, rebuilt)
    only_rebuilt, gained = await _minus(conn, columns, rebuilt, live)
    samples = [f"live: {row}" for row in lost] + [f"rebuilt: {row}" for row in gained]
    return Difference(
        table=table,
        only_live=only_live,
        only_rebuilt=only_rebuilt,
        samples=tuple(samples),
    )


async def _minus(
    conn: AsyncConnection[Any], columns: Composed, one: Identifier, other: Identifier
) -> tuple[int, Sequence[str]]:
    statement = SQL(
        "WITH d AS (SELECT {c} FROM {one} EXCEPT SELECT {c} FROM {other}) "
        "SELECT count(*) OVER () AS n, d::text AS line FROM d ORDER BY line LIMIT {m}"
    ).format(c=columns, one=one, other=other, m=_SAMPLES_MAX)
    rows = await (await conn.execute(statement)).fetchall()
    return (rows[0]["n"] if rows else 0), [row["line"] for row in rows]


async def _columns(conn: AsyncConnection[Any], table: str) -> Composed:
    statement: LiteralString = _SQL["columns"]
    rows = await (await conn.execute(statement, (table,))).fetchall()
    return SQL(", ").join(Identifier(row["column_name"]) for row in rows)


async def _replace(conn: AsyncConnection[Any], table: str) -> None:
    """Put the rebuilt rows where the live ones are; names and indexes stay."""
    live, rebuilt = Identifier("public", table), Identifier(SCHEMA, table)
    columns = await _columns(conn, table)
    await conn.execute(SQL("TRUNCATE {}").format(live))
    await conn.execute(
        SQL("INSERT INTO {} ({c}) SELECT {c} FROM {}").format(live, rebuilt, c=columns)
    )

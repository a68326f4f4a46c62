"""A rebuild: read models folded again in a shadow schema, compared with the live ones.

The shadow is folded exactly up to the positions of the live read models, so that both
can be compared row by row; the rebuilt rows can then replace the live ones.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composed, Identifier

from infra.eventlog.contract import Pages, Positions
from infra.postgres.pool import Connection, Pool, open_pool, queries
from projections.columns import decode
from projections.positions import PROJECTOR, stored_positions
from projections.projector.projector import Projector
from projections.projector.start_position import ReplayStart
from projections.rows import CATALOG_DELETIONS, PASSED_OVER
from projections.sql_files import SQL_FILES
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections

SCHEMA = "flightlog_shadow"
_SQL = queries(SQL_FILES / "rebuild.sql")
_NOT_FOLDED = (
    "projector_positions",
    "outcomes",
    "catalog_reservations",
    PASSED_OVER.name,
    CATALOG_DELETIONS.name,
)
"""Tables that a projector writes, but that aren't compared.

Most don't follow from events alone; deletions of an older version left nothing in that
of the catalog.
"""
_SAMPLES_MAX = 5

Progress = Callable[[int], None]
Read = Callable[[Positions, Positions], Pages]
"""Reads the events after positions and up to others, then ends."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of a table are only live or only rebuilt, and some of them."""

    table: str
    only_live: int
    only_rebuilt: int
    samples: tuple[str, ...] = ()

    @property
    def is_none(self) -> bool:
        """Return whether both have the same rows."""
        return not self.only_live and not self.only_rebuilt


class _UpTo:
    """Events up to positions, as a log that a projector can follow."""

    def __init__(self, read: Read, end: Positions, since: ReplayStart | None) -> None:
        self._read = read
        self._end = end
        self._since = since

    async def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        del topics, limit
        async for page in self._read(after, self._end):
            selected = page if self._since is None else self._since.select(page)
            if selected:
                yield selected
        while True:
            yield ()

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        del topics
        return self._end


class Rebuild:
    """Read models in the shadow schema; `folded` counts the events folded into them.

    Where no projector has run yet, there are no positions of live read models: events
    are folded up to `end`, and a swap also writes the positions.
    With `since`, only the streams that it selects are folded and compared.
    """

    def __init__(
        self,
        pool: Pool,
        shadow: Pool,
        read: Read,
        end: Positions,
        since: ReplayStart | None = None,
        projections: StreamProjections = STREAM_PROJECTIONS,
    ) -> None:
        """Use pools for the live schema and for the shadow schema."""
        self._since = since
        self._projections = projections
        self._pool = pool
        self._shadow = shadow
        self._read = read
        self._end = end
        self.folded = 0

    async def catch_up(self, progress: Progress) -> None:
        """Fold every event that the live read models contain."""
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
            writes_outcomes=False,
            progress=lambda count: progress(before + count),
            projections=self._projections,
        )
        await projector.catch_up()
        self.folded += projector.applied

    async def compare_and_swap(self, *, swap: bool) -> Sequence[Difference]:
        """Compare each read model with the rebuilt one; `swap` replaces what differs.

        All in one transaction; a running projector waits for it.
        """
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute(_SQL["lock_positions"])
            positions = await stored_positions(conn)
            await self._fold(positions or self._end, lambda _: None)
            where, tables = None, self._projections.tables
            if self._since is not None:
                where = _of_rebuilt(self._projections)
                whole = self._projections.unpartitioned
                tables = tuple(table for table in tables if table not in whole)
            found = [await _compare(conn, table, where) for table in tables]
            if swap:
                for difference in found:
                    if not difference.is_none:
                        await _replace(conn, difference.table, where)
                await _replace_passed_over(conn, where)
                if where is None:
                    await _replace(conn, CATALOG_DELETIONS.name)
                if not positions and where is None:
                    await _replace(conn, "projector_positions")
        return found


@asynccontextmanager
async def open_rebuild(
    url: str,
    pool: Pool,
    read: Read,
    end: Positions,
    since: ReplayStart | None = None,
    projections: StreamProjections = STREAM_PROJECTIONS,
) -> AsyncIterator[Rebuild]:
    """Create empty tables in the shadow schema; it is dropped afterwards."""
    async with pool.connection() as conn:
        await conn.execute(_SQL["drop"])
        await conn.execute(_SQL["create"])
        for table in (*projections.tables, *_NOT_FOLDED):
            await conn.execute(_create_like(table))
    path = f"-csearch_path={SCHEMA}"
    shadow = await open_pool(make_conninfo(url, options=path), size=2)
    try:
        yield Rebuild(pool, shadow, read, end, since, projections)
    finally:
        await shadow.close()
        async with pool.connection() as conn:
            await conn.execute(_SQL["drop"])


def _create_like(table: str) -> Composed:
    return SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
        Identifier(SCHEMA, table), Identifier("public", table)
    )


async def _compare(conn: Connection, table: str, where: Composed | None) -> Difference:
    live, rebuilt = Identifier("public", table), Identifier(SCHEMA, table)
    columns = await _columns(conn, table)
    only_live, lost = await _minus(conn, columns, live, rebuilt, where)
    only_rebuilt, gained = await _minus(conn, columns, rebuilt, live, where)
    samples = [f"live: {row}" for row in lost] + [f"rebuilt: {row}" for row in gained]
    return Difference(
        table=table,
        only_live=only_live,
        only_rebuilt=only_rebuilt,
        samples=tuple(samples),
    )


class _Sample(msgspec.Struct, frozen=True):
    """A row that one side lacks, as text; `rows` counts all of them."""

    rows: int
    line: str


async def _minus(
    conn: Connection,
    columns: Composed,
    one: Identifier,
    other: Identifier,
    where: Composed | None,
) -> tuple[int, Sequence[str]]:
    statement = SQL(
        "WITH d AS (SELECT {c} FROM {one} {w} EXCEPT SELECT {c} FROM {other}) "
        "SELECT count(*) OVER () AS rows, d::text AS line FROM d "
        "ORDER BY line LIMIT {m}"
    ).format(c=columns, one=one, other=other, m=_SAMPLES_MAX, w=where or SQL(""))
    cursor = await conn.execute(statement)
    samples = [decode(_Sample, row) for row in await cursor.fetchall()]
    return (samples[0].rows if samples else 0), [sample.line for sample in samples]


async def _columns(conn: Connection, table: str) -> Composed:
    cursor = await conn.execute(_SQL["columns"], (table,))
    names = [str(row["column_name"]) for row in await cursor.fetchall()]
    return SQL(", ").join(map(Identifier, names))


def _of_rebuilt(projections: StreamProjections) -> Composed:
    """Return the clause that selects the rows of the rebuilt streams."""
    rebuilt = SQL(" UNION ALL ").join(
        SQL("SELECT stream FROM {}").format(Identifier(SCHEMA, projection.root))
        for projection in projections
    )
    return SQL("WHERE stream IN ({})").format(rebuilt)


async def _replace_passed_over(conn: Connection, where: Composed | None) -> None:
    """Pass over what the rebuild has passed over, of the streams that it folded."""
    live = Identifier("public", PASSED_OVER.name)
    rebuilt = Identifier(SCHEMA, PASSED_OVER.name)
    if where is not None:
        text = "DELETE FROM {} WHERE stream IN (SELECT stream FROM {})"
        await conn.execute(SQL(text).format(live, rebuilt))
    await _replace(conn, PASSED_OVER.name, where)


async def _replace(conn: Connection, table: str, where: Composed | None = None) -> None:
    """Replace the live rows by the rebuilt ones; the table and its indexes stay."""
    live, rebuilt = Identifier("public", table), Identifier(SCHEMA, table)
    columns = await _columns(conn, table)
    if where is None:
        await conn.execute(SQL("TRUNCATE {}").format(live))
    else:
        await conn.execute(SQL("DELETE FROM {} {w}").format(live, w=where))
    await conn.execute(
        SQL("INSERT INTO {} ({c}) SELECT {c} FROM {}").format(live, rebuilt, c=columns)
    )

"""Running queries: their rows as structs, or the values of their only column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString, TypeVar

import msgspec
from psycopg.errors import FeatureNotSupported
from psycopg.sql import Composed

from infra.postgres.pool import Pool, Row
from projections.columns import R, SqlValue, decode

Statement = LiteralString | Composed
Param = SqlValue | Sequence[SqlValue]
Params = Sequence[Param] | Mapping[str, Param]
_T = TypeVar("_T")


async def fetch(
    pool: Pool, kind: type[R], statement: Statement, params: Params = ()
) -> list[R]:
    """Return the rows of a query, as structs of a kind."""
    return [decode(kind, row) for row in await _fetch(pool, statement, params)]


async def fetch_one(
    pool: Pool, kind: type[R], statement: Statement, params: Params = ()
) -> R | None:
    """Return the first row of a query, as a struct of a kind; None without rows."""
    rows = await _fetch(pool, statement, params)
    return decode(kind, rows[0]) if rows else None


async def fetch_values(
    pool: Pool, kind: type[_T], statement: Statement, params: Params = ()
) -> list[_T]:
    """Return the values of a query's only column."""
    rows = await _fetch(pool, statement, params)
    return [msgspec.convert(value, kind) for row in rows for value in row.values()]


async def execute(pool: Pool, statement: Statement, params: Params = ()) -> None:
    """Execute a statement that returns no rows."""
    async with pool.connection() as conn:
        await conn.execute(statement, params)


async def _fetch(pool: Pool, statement: Statement, params: Params) -> list[Row]:
    """Return rows; plans that a migration of a newer version outdated are replaced."""
    async with pool.connection() as conn:
        try:
            cursor = await conn.execute(statement, params)
        except FeatureNotSupported:
            await conn.execute("DEALLOCATE ALL")
            cursor = await conn.execute(statement, params)
        return await cursor.fetchall()

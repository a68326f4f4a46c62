"""Selecting: a page of a table's rows, filtered and sorted as clients ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.errors import FeatureNotSupported
from psycopg.sql import SQL, Composable, Composed, Identifier

from infra.postgres.pool import Pool, queries
from projections.queries.filters import Entity, parse_filters, parse_sort
from projections.sql_files import SQL_FILES
from schemas.messages.rejections import Rejected

_PAGE = queries(SQL_FILES / "views.sql")["page"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What part of a list is wanted, and in which order."""

    limit: int
    offset: int = 0
    filters: str = ""
    sort_key: str = ""
    ascending: bool = False


async def select(
    pool: Pool,
    entity: Entity,
    where: Mapping[str, Any],
    page: Page,
    default_order: Composable,
) -> Sequence[dict[str, Any]] | Rejected:
    """Return rows of a table where columns have values, filtered, sorted, paged."""
    found = narrow(entity, page, default_order)
    if isinstance(found, Rejected):
        return found
    condition, values, order = found
    wheres = [
        SQL("{}.{} = %s").format(Identifier(entity.table), Identifier(name))
        for name in where
    ]
    statement = SQL(_PAGE).format(
        table=Identifier(entity.table),
        where=SQL(" AND ").join([*wheres, condition]),
        order=order,
    )
    return await fetch(
        pool, statement, (*where.values(), *values, page.limit, page.offset)
    )


def narrow(
    entity: Entity, page: Page, default_order: Composable
) -> tuple[Composable, Sequence[Any], Composable] | Rejected:
    """Return a page's condition, the condition's values, and its order."""
    condition = parse_filters(page.filters, entity)
    if isinstance(condition, Rejected):
        return condition
    order: Composable | Rejected = default_order
    if page.sort_key:
        order = parse_sort(page.sort_key, ascending=page.ascending, entity=entity)
    if isinstance(order, Rejected):
        return order
    return condition.sql, condition.values, order


async def fetch(
    pool: Pool, statement: LiteralString | Composed, values: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Return the rows of a query.

    A process of a newer version may add columns meanwhile: plans that Postgres kept
    are made anew then.
    """
    async with pool.connection() as conn:
        try:
            cursor = await conn.execute(statement, values)
        except FeatureNotSupported:
            await conn.execute("DEALLOCATE ALL")
            cursor = await conn.execute(statement, values)
        return await cursor.fetchall()


async def fetch_one(
    pool: Pool, statement: LiteralString | Composed, values: Sequence[Any] = ()
) -> dict[str, Any] | None:
    """Return the only row of a query, or None."""
    rows = await fetch(pool, statement, values)
    return rows[0] if rows else None

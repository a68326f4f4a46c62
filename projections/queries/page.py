"""A page of a table's rows, filtered and sorted as clients ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Identifier

from infra.postgres.pool import Pool, queries
from projections.columns import R, SqlValue
from projections.queries.fetch import Param, fetch
from projections.queries.filters import (
    Condition,
    Entity,
    parse_filters,
    parse_sort,
)
from projections.sql_files import SQL_FILES
from schemas.messages.rejections import Rejected

_PAGE = queries(SQL_FILES / "page.sql")["page"]


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
    entity: Entity[R],
    where: Mapping[str, SqlValue],
    page: Page,
    default_order: Composable,
    condition: Condition | None = None,
) -> list[R] | Rejected:
    """Return rows of a table where columns have values, filtered, sorted, paged.

    `condition` is the one of the page's filters, where the caller has parsed them.
    """
    found = narrow(entity, page, default_order, condition)
    if isinstance(found, Rejected):
        return found
    restriction, values, order = found
    wheres = [
        SQL("{}.{} = %s").format(Identifier(entity.table), Identifier(name))
        for name in where
    ]
    statement = SQL(_PAGE).format(
        table=Identifier(entity.table),
        where=SQL(" AND ").join([*wheres, restriction]),
        order=order,
    )
    params = (*where.values(), *values, page.limit, page.offset)
    return await fetch(pool, entity.row, statement, params)


def narrow(
    entity: Entity[R],
    page: Page,
    default_order: Composable,
    condition: Condition | None = None,
) -> tuple[Composable, Sequence[Param], Composable] | Rejected:
    """Return a page's condition, the condition's values, and its order."""
    parsed = condition or parse_filters(page.filters, entity)
    if isinstance(parsed, Rejected):
        return parsed
    order: Composable | Rejected = default_order
    if page.sort_key:
        order = parse_sort(page.sort_key, ascending=page.ascending, entity=entity)
    if isinstance(order, Rejected):
        return order
    return parsed.sql, parsed.values, order

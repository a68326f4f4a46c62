"""Queries of executions, node executions and task executions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Composable, Identifier

from infra.database import Pool
from projections import entities
from projections.filters import Entity, parse_filters, parse_sort
from projections.rows import ExecutionRow, NodeRow, TaskRow, row_of
from schemas.ids import ExecutionRef, execution_stream
from schemas.rejections import Rejected


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
    where: dict[str, Any],
    page: Page,
    default_order: Composable,
) -> Sequence[dict[str, Any]] | Rejected:
    """Return rows of a table where columns have values, filtered, sorted, paged."""
    condition = parse_filters(page.filters, entity)
    if isinstance(condition, Rejected):
        return condition
    order: Composable | Rejected = default_order
    if page.sort_key:
        order = parse_sort(page.sort_key, ascending=page.ascending, entity=entity)
        if isinstance(order, Rejected):
            return order
    wheres = [
        SQL("{}.{} = %s").format(Identifier(entity.table), Identifier(name))
        for name in where
    ]
    statement = SQL(
        "SELECT {}.* FROM {} WHERE {} ORDER BY {} LIMIT %s OFFSET %s"
    ).format(
        Identifier(entity.table),
        Identifier(entity.table),
        SQL(" AND ").join([*wheres, condition.sql]),
        order,
    )
    values = (*where.values(), *condition.values, page.limit, page.offset)
    async with pool.connection() as conn:
        cursor = await conn.execute(statement, values)
        return await cursor.fetchall()


async def _rows(
    kind: type[Any], found: Sequence[dict[str, Any]] | Rejected
) -> list[Any] | Rejected:
    return found if isinstance(found, Rejected) else [row_of(kind, r) for r in found]


async def get_execution(pool: Pool, execution: ExecutionRef) -> ExecutionRow | None:
    """Return an execution."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT * FROM executions WHERE stream = %s", (execution_stream(execution),)
        )
        row = await cursor.fetchone()
    return row_of(ExecutionRow, row) if row else None


async def list_executions(
    pool: Pool, project: str, domain: str, page: Page
) -> list[ExecutionRow] | Rejected:
    """Return executions; archived ones only where the filter speaks of `state`."""
    where: dict[str, Any] = {"execution_project": project, "execution_domain": domain}
    if "state," not in page.filters:
        where["state"] = 0
    order = SQL("executions.created_at DESC, executions.stream")
    found = await select(pool, entities.EXECUTIONS, where, page, order)
    return await _rows(ExecutionRow, found)


async def get_node(pool: Pool, execution: ExecutionRef, node_id: str) -> NodeRow | None:
    """Return a node execution."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT * FROM node_executions WHERE stream = %s AND node_id = %s",
            (execution_stream(execution), node_id),
        )
        row = await cursor.fetchone()
    return row_of(NodeRow, row) if row else None


async def list_nodes(
    pool: Pool, execution: ExecutionRef, parent_id: str, page: Page
) -> list[NodeRow] | Rejected:
    """Return the node executions that lie in a parent ('' for the top)."""
    where = {"stream": execution_stream(execution), "parent_id": parent_id}
    order = SQL("node_executions.number")
    found = await select(pool, entities.NODES, where, page, order)
    return await _rows(NodeRow, found)


async def get_task_execution(
    pool: Pool, execution: ExecutionRef, node_id: str, attempt: int
) -> TaskRow | None:
    """Return one attempt of a node's task."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT * FROM task_executions "
            "WHERE stream = %s AND node_id = %s AND retry_attempt = %s",
            (execution_stream(execution), node_id, attempt),
        )
        row = await cursor.fetchone()
    return row_of(TaskRow, row) if row else None


async def list_task_executions(
    pool: Pool, execution: ExecutionRef, node_id: str, page: Page
) -> list[TaskRow] | Rejected:
    """Return the attempts of a node's task."""
    where = {"stream": execution_stream(execution), "node_id": node_id}
    order = SQL("task_executions.retry_attempt")
    found = await select(pool, entities.TASK_EXECUTIONS, where, page, order)
    return await _rows(TaskRow, found)


async def open_streams(pool: Pool) -> list[str]:
    """Return the streams of executions that have not ended."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT stream FROM executions WHERE phase NOT IN "
            "('SUCCEEDED', 'FAILED', 'ABORTED', 'TIMED_OUT') ORDER BY stream"
        )
        return [str(row["stream"]) for row in await cursor.fetchall()]


async def outcome(pool: Pool, command_id: str) -> tuple[Any, ...] | None:
    """Return what became of a command: kind, event id, reason, detail."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT kind, event_id, reason, detail FROM outcomes WHERE command_id = %s",
            (command_id,),
        )
        row = await cursor.fetchone()
    return tuple(row.values()) if row else None


async def phase_counts(pool: Pool, execution: ExecutionRef) -> dict[str, int]:
    """Return how many nodes of an execution are in each phase."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT phase, count(*) AS n FROM node_executions "
            "WHERE stream = %s GROUP BY phase",
            (execution_stream(execution),),
        )
        return {str(r["phase"]): int(str(r["n"])) for r in await cursor.fetchall()}

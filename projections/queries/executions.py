"""Queries of executions, node executions, task executions, journal and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from psycopg.sql import SQL

from infra.eventlog.contract import StreamExtent
from infra.postgres.pool import Pool, queries
from projections.queries import filter_columns
from projections.queries import page as selecting
from projections.queries.filters import parse_filters
from projections.queries.page import fetch, fetch_one, select
from projections.rows import (
    ElementRow,
    ExecutionRow,
    JournalRow,
    NodeRow,
    SignalRow,
    TaskRow,
    row_of,
)
from projections.sql_files import SQL_FILES
from schemas.ids import ExecutionRef, execution_of, execution_stream
from schemas.messages.rejections import Rejected

Page = selecting.Page
"""What part of a list is wanted."""
_SQL = queries(SQL_FILES / "views.sql")
NODES_MAX = 100_000
_ACTIVE = "eq(state,0)"
_OF_PARENTS = frozenset(
    {"parent_id", "parent_node_execution_id", "parent_task_execution_id"}
)


def _rows(kind: type[Any], found: Sequence[dict[str, Any]] | Rejected) -> Any:
    return found if isinstance(found, Rejected) else [row_of(kind, r) for r in found]


async def get_execution(pool: Pool, execution: ExecutionRef) -> ExecutionRow | None:
    """Return an execution."""
    stream = execution_stream(execution)
    row = await fetch_one(pool, _SQL["get_execution"], (stream,))
    return row_of(ExecutionRow, row) if row else None


async def list_executions(
    pool: Pool, project: str, domain: str, page: Page, *, name: str = ""
) -> list[ExecutionRow] | Rejected:
    """Return executions; archived ones only where the filter speaks of `state`."""
    where: dict[str, Any] = {"execution_project": project, "execution_domain": domain}
    if name:
        where["execution_name"] = name
    condition = parse_filters(page.filters, filter_columns.EXECUTIONS)
    if isinstance(condition, Rejected):
        return condition
    if "state" not in condition.fields:
        filters = f"{page.filters}+{_ACTIVE}" if page.filters else _ACTIVE
        page = replace(page, filters=filters)
    order = SQL("executions.created_at DESC, executions.stream")
    rows: list[ExecutionRow] | Rejected = _rows(
        ExecutionRow, await select(pool, filter_columns.EXECUTIONS, where, page, order)
    )
    return rows


async def find_executions(pool: Pool, name: str, limit: int = 10) -> list[ExecutionRef]:
    """Return the executions of a name in any project and domain, the newest first."""
    rows = await fetch(pool, _SQL["find_executions"], (name, limit))
    return [execution_of(row["stream"]) for row in rows]


async def execution_counts(pool: Pool) -> dict[str, int]:
    """Return how many executions are in each phase."""
    rows = await fetch(pool, _SQL["execution_counts"])
    return {row["phase"]: row["rows"] for row in rows}


async def count_under_way(pool: Pool, project: str, domain: str, name: str) -> int:
    """Return how many executions of a launch plan's name are queued or running."""
    row = await fetch_one(pool, _SQL["under_way"], (project, domain, name))
    return int(row["rows"]) if row else 0


async def phases(pool: Pool) -> dict[str, str]:
    """Return the phase of every execution, by its stream."""
    rows = await fetch(pool, _SQL["phases"])
    return {str(row["stream"]): str(row["phase"]) for row in rows}


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended; of a deleted one neither phase nor parent is known."""

    stream: str
    last_sequence: int
    is_deleted: bool
    phase: str | None
    parent_stream: str | None
    parent_node_id: str | None


async def ended(pool: Pool, streams: Sequence[str]) -> list[Ended]:
    """Return how those of these streams ended that have ended."""
    return [Ended(**row) for row in await fetch(pool, _SQL["ended"], (list(streams),))]


async def span(pool: Pool, stream: str) -> StreamExtent | None:
    """Return when an execution began, and which event ended it."""
    row = await fetch_one(pool, _SQL["span"], (stream,))
    return StreamExtent(**row) if row else None


async def open_streams(pool: Pool) -> list[str]:
    """Return the streams of executions that have not ended."""
    return [str(row["stream"]) for row in await fetch(pool, _SQL["open_streams"])]


async def open_and_tagged(
    pool: Pool, beside: ExecutionRef, key: str, value: str
) -> list[ExecutionRef]:
    """Return open executions with a label, of one execution's project and domain."""
    values = (key, value, beside.project, beside.domain)
    rows = await fetch(pool, _SQL["open_and_tagged"], values)
    return [execution_of(row["stream"]) for row in rows]


async def get_node(pool: Pool, execution: ExecutionRef, node_id: str) -> NodeRow | None:
    """Return a node execution."""
    key = (execution_stream(execution), node_id)
    row = await fetch_one(pool, _SQL["get_node"], key)
    return row_of(NodeRow, row) if row else None


async def list_nodes(
    pool: Pool, execution: ExecutionRef, parent_id: str, page: Page
) -> list[NodeRow] | Rejected:
    """Return the node executions that lie in a parent ('' for the top).

    Those of every parent that it names, where a filter speaks of parents. Elements of
    arrays aren't among them.
    """
    where: dict[str, Any] = {"stream": execution_stream(execution), "element": -1}
    condition = parse_filters(page.filters, filter_columns.NODES)
    if isinstance(condition, Rejected):
        return condition
    if parent_id or not condition.fields & _OF_PARENTS:
        where["parent_id"] = parent_id
    order = SQL("node_executions.number")
    rows: list[NodeRow] | Rejected = _rows(
        NodeRow, await select(pool, filter_columns.NODES, where, page, order)
    )
    return rows


async def list_made_nodes(
    pool: Pool, execution: ExecutionRef, node_id: str, attempt: int, page: Page
) -> list[NodeRow] | Rejected:
    """Return the nodes at the top of what an attempt of a dynamic node made."""
    where: dict[str, Any] = {
        "stream": execution_stream(execution),
        "parent_id": node_id,
        "retry_group": str(attempt),
        "element": -1,
    }
    order = SQL("node_executions.number")
    rows: list[NodeRow] | Rejected = _rows(
        NodeRow, await select(pool, filter_columns.NODES, where, page, order)
    )
    return rows


async def list_all_nodes(
    pool: Pool, execution: ExecutionRef, limit: int = NODES_MAX
) -> list[NodeRow]:
    """Return the node executions of all levels, as they became visible."""
    key = (execution_stream(execution), limit)
    return [row_of(NodeRow, row) for row in await fetch(pool, _SQL["all_nodes"], key)]


async def list_all_attempts(
    pool: Pool, execution: ExecutionRef, limit: int = NODES_MAX
) -> list[TaskRow]:
    """Return the attempts of all nodes, those of one node in their order."""
    key = (execution_stream(execution), limit)
    rows = await fetch(pool, _SQL["all_attempts"], key)
    return [row_of(TaskRow, row) for row in rows]


async def phase_counts(pool: Pool, execution: ExecutionRef) -> dict[str, int]:
    """Return how many nodes of an execution are in each phase."""
    rows = await fetch(pool, _SQL["phase_counts"], (execution_stream(execution),))
    return {row["phase"]: row["rows"] for row in rows}


async def get_task_execution(
    pool: Pool, execution: ExecutionRef, node_id: str, attempt: int
) -> TaskRow | None:
    """Return one attempt of a node's task."""
    key = (execution_stream(execution), node_id, attempt)
    row = await fetch_one(pool, _SQL["get_task_execution"], key)
    return row_of(TaskRow, row) if row else None


async def list_task_executions(
    pool: Pool, execution: ExecutionRef, node_id: str, page: Page
) -> list[TaskRow] | Rejected:
    """Return the attempts of a node's task."""
    where = {"stream": execution_stream(execution), "node_id": node_id}
    order = SQL("task_executions.retry_attempt")
    rows: list[TaskRow] | Rejected = _rows(
        TaskRow, await select(pool, filter_columns.TASK_EXECUTIONS, where, page, order)
    )
    return rows


async def list_elements(
    pool: Pool, execution: ExecutionRef, node_id: str
) -> list[ElementRow]:
    """Return the elements of an array that have begun, in their order."""
    key = (execution_stream(execution), node_id)
    return [row_of(ElementRow, row) for row in await fetch(pool, _SQL["elements"], key)]


async def get_signal(
    pool: Pool, execution: ExecutionRef, signal_id: str
) -> SignalRow | None:
    """Return a signal of an execution."""
    key = (execution_stream(execution), signal_id)
    row = await fetch_one(pool, _SQL["get_signal"], key)
    return row_of(SignalRow, row) if row else None


async def list_signals(
    pool: Pool, execution: ExecutionRef, page: Page
) -> list[SignalRow] | Rejected:
    """Return the signals of an execution, as they were asked for."""
    where = {"stream": execution_stream(execution)}
    order = SQL("signals.created_at, signals.signal_id")
    rows: list[SignalRow] | Rejected = _rows(
        SignalRow, await select(pool, filter_columns.SIGNALS, where, page, order)
    )
    return rows


async def read_journal(
    pool: Pool, execution: ExecutionRef, after: int = 0, limit: int = 1000
) -> list[JournalRow]:
    """Return the lines of an execution's journal behind a sequence."""
    key = (execution_stream(execution), after, limit)
    return [JournalRow(**row) for row in await fetch(pool, _SQL["journal"], key)]


async def outcome(pool: Pool, command_id: str) -> tuple[Any, ...] | None:
    """Return what became of a command: kind, event id, reason, detail.

    The kind is done, rejected or no_effect.
    """
    row = await fetch_one(pool, _SQL["outcome"], (command_id,))
    return tuple(row.values()) if row else None


async def outcomes(
    pool: Pool, command_ids: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """Return what became of several commands; those without an answer are left out."""
    rows = await fetch(pool, _SQL["outcomes"], (list(command_ids),))
    return {row.pop("command_id"): tuple(row.values()) for row in rows}

"""Queries of executions, node executions, task executions, journal and outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from psycopg.sql import SQL

from infra.eventlog.contract import StreamExtent
from infra.postgres.pool import Pool, queries
from projections.columns import key_text
from projections.queries import filter_columns
from projections.queries.fetch import fetch, fetch_one, fetch_values
from projections.queries.filters import parse_filters
from projections.queries.page import Page, select
from projections.rows import (
    ElementRow,
    ExecutionRow,
    JournalRow,
    NodeRow,
    Outcome,
    SignalRow,
    TaskRow,
)
from projections.sql_files import SQL_FILES
from schemas.ids import ExecutionRef, execution_of, execution_stream
from schemas.messages.rejections import Rejected

_SQL = queries(SQL_FILES / "executions.sql")
NODES_MAX = 100_000
_ACTIVE = "eq(state,0)"
_OF_PARENTS = frozenset(
    {"parent_id", "parent_node_execution_id", "parent_task_execution_id"}
)
_NO_ELEMENT = -1
"""How a node that is no element of an array is stored."""


async def get_execution(pool: Pool, execution: ExecutionRef) -> ExecutionRow | None:
    """Return an execution."""
    stream = execution_stream(execution)
    return await fetch_one(pool, ExecutionRow, _SQL["get_execution"], (stream,))


async def list_executions(
    pool: Pool, project: str, domain: str, page: Page, *, name: str = ""
) -> list[ExecutionRow] | Rejected:
    """Return executions; archived ones only where a filter names `state`."""
    where = {"execution_project": project, "execution_domain": domain}
    if name:
        where["execution_name"] = name
    condition = parse_filters(page.filters, filter_columns.EXECUTIONS)
    if isinstance(condition, Rejected):
        return condition
    if "state" not in condition.fields:
        filters = f"{page.filters}+{_ACTIVE}" if page.filters else _ACTIVE
        page = replace(page, filters=filters)
    order = SQL("executions.created_at DESC, executions.stream")
    return await select(pool, filter_columns.EXECUTIONS, where, page, order)


async def find_executions(pool: Pool, name: str, limit: int = 10) -> list[ExecutionRef]:
    """Return the executions of a name in any project and domain, the newest first."""
    found = await fetch_values(pool, str, _SQL["find_executions"], (name, limit))
    return [execution_of(stream) for stream in found]


class _PhaseCount(msgspec.Struct, frozen=True):
    phase: str
    rows: int


async def execution_counts(pool: Pool) -> dict[str, int]:
    """Return how many executions are in each phase."""
    found = await fetch(pool, _PhaseCount, _SQL["execution_counts"])
    return {count.phase: count.rows for count in found}


async def count_active(pool: Pool, project: str, domain: str, name: str) -> int:
    """Return how many executions of a launch plan's name are queued or running."""
    key = (project, domain, name)
    return (await fetch_values(pool, int, _SQL["count_active"], key))[0]


class EndedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended; of a deleted one neither phase nor parent is known."""

    stream: str
    last_sequence: int
    is_deleted: bool
    phase: str | None
    parent_stream: str | None
    parent_node_id: str | None


async def ended_executions(pool: Pool, streams: Sequence[str]) -> list[EndedExecution]:
    """Return those of the executions of streams that have ended."""
    return await fetch(pool, EndedExecution, _SQL["ended"], (list(streams),))


class _Extent(msgspec.Struct, frozen=True):
    began_us: int
    last_sequence: int | None


async def stream_extent(pool: Pool, stream: str) -> StreamExtent | None:
    """Return when an execution began, and the sequence of the event that ended it."""
    found = await fetch_one(pool, _Extent, _SQL["stream_extent"], (stream,))
    return StreamExtent(found.began_us, found.last_sequence) if found else None


async def open_and_tagged(
    pool: Pool, execution: ExecutionRef, key: str, value: str
) -> list[ExecutionRef]:
    """Return open executions with a label, of one execution's project and domain."""
    params = (key, value, execution.project, execution.domain)
    found = await fetch_values(pool, str, _SQL["open_and_tagged"], params)
    return [execution_of(stream) for stream in found]


async def get_node(pool: Pool, execution: ExecutionRef, node_id: str) -> NodeRow | None:
    """Return a node execution."""
    key = (execution_stream(execution), node_id)
    return await fetch_one(pool, NodeRow, _SQL["get_node"], key)


async def list_nodes(
    pool: Pool, execution: ExecutionRef, parent_id: str, page: Page
) -> list[NodeRow] | Rejected:
    """Return the node executions in a parent ('' for the top), without array elements.

    Where a filter names parents, those in every parent that it selects.
    """
    where: dict[str, str | int] = {
        "stream": execution_stream(execution),
        "element": _NO_ELEMENT,
    }
    condition = parse_filters(page.filters, filter_columns.NODES)
    if isinstance(condition, Rejected):
        return condition
    if parent_id or not condition.fields & _OF_PARENTS:
        where["parent_id"] = parent_id
    order = SQL("node_executions.number")
    return await select(pool, filter_columns.NODES, where, page, order, condition)


async def list_dynamic_nodes(
    pool: Pool, execution: ExecutionRef, node_id: str, attempt: int, page: Page
) -> list[NodeRow] | Rejected:
    """Return the top-level nodes of the workflow that a dynamic node's attempt made."""
    where: dict[str, str | int] = {
        "stream": execution_stream(execution),
        "parent_id": node_id,
        "retry_group": str(attempt),
        "element": _NO_ELEMENT,
    }
    order = SQL("node_executions.number")
    return await select(pool, filter_columns.NODES, where, page, order)


async def list_all_nodes(
    pool: Pool, execution: ExecutionRef, limit: int = NODES_MAX
) -> list[NodeRow]:
    """Return the node executions of all levels, in the order in which they began."""
    key = (execution_stream(execution), limit)
    return await fetch(pool, NodeRow, _SQL["all_nodes"], key)


async def list_all_attempts(
    pool: Pool, execution: ExecutionRef, limit: int = NODES_MAX
) -> list[TaskRow]:
    """Return the attempts of all nodes, those of one node in their order."""
    key = (execution_stream(execution), limit)
    return await fetch(pool, TaskRow, _SQL["all_attempts"], key)


async def phase_counts(pool: Pool, execution: ExecutionRef) -> dict[str, int]:
    """Return how many nodes of an execution are in each phase."""
    key = (execution_stream(execution),)
    found = await fetch(pool, _PhaseCount, _SQL["phase_counts"], key)
    return {count.phase: count.rows for count in found}


async def get_task_execution(
    pool: Pool, execution: ExecutionRef, node_id: str, attempt: int
) -> TaskRow | None:
    """Return one attempt of a node's task."""
    key = (execution_stream(execution), node_id, attempt)
    return await fetch_one(pool, TaskRow, _SQL["get_task_execution"], key)


async def list_task_executions(
    pool: Pool, execution: ExecutionRef, node_id: str, page: Page
) -> list[TaskRow] | Rejected:
    """Return the attempts of a node's task."""
    where = {"stream": execution_stream(execution), "node_id": node_id}
    order = SQL("task_executions.retry_attempt")
    return await select(pool, filter_columns.TASK_EXECUTIONS, where, page, order)


async def list_elements(
    pool: Pool, execution: ExecutionRef, node_id: str
) -> list[ElementRow]:
    """Return the elements of an array that have begun, in their order."""
    key = (execution_stream(execution), node_id)
    return await fetch(pool, ElementRow, _SQL["elements"], key)


async def get_signal(
    pool: Pool, execution: ExecutionRef, signal_id: str
) -> SignalRow | None:
    """Return a signal of an execution."""
    key = (execution_stream(execution), key_text(signal_id))
    return await fetch_one(pool, SignalRow, _SQL["get_signal"], key)


async def list_signals(
    pool: Pool, execution: ExecutionRef, page: Page
) -> list[SignalRow] | Rejected:
    """Return the signals of an execution, in the order in which they were requested."""
    where = {"stream": execution_stream(execution)}
    order = SQL("signals.created_at, signals.signal_id")
    return await select(pool, filter_columns.SIGNALS, where, page, order)


async def read_journal(
    pool: Pool, execution: ExecutionRef, after: int = 0, limit: int = 1000
) -> list[JournalRow]:
    """Return the lines of an execution's journal after a sequence."""
    key = (execution_stream(execution), after, limit)
    return await fetch(pool, JournalRow, _SQL["journal"], key)


async def get_outcomes(pool: Pool, command_ids: Sequence[str]) -> list[Outcome]:
    """Return the outcomes of commands that have one."""
    keys = [key_text(command_id) for command_id in command_ids]
    return await fetch(pool, Outcome, _SQL["outcomes"], (keys,))

"""Writing a batch's changes to Postgres: few statements, whatever the batch's size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncCursor
from psycopg.sql import SQL, Composed, Identifier, Placeholder

from projections.changes import Changes, Rows

TERMINAL = ("SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT", "SKIPPED", "RECOVERED")
_FIRST_WINS = frozenset({"started_at"})


@dataclass(frozen=True, slots=True)
class Table:
    """A view's table and its primary key."""

    name: str
    key: tuple[str, ...]


EXECUTIONS = Table("executions", ("stream",))
NODES = Table("node_executions", ("stream", "node_id"))
TASKS = Table("task_executions", ("stream", "node_id", "retry_attempt"))


async def write(cursor: AsyncCursor[Any], changes: Changes) -> None:
    """Write everything; the caller holds the transaction."""
    await _write_rows(cursor, EXECUTIONS, changes.executions)
    await _write_rows(cursor, NODES, changes.nodes)
    await _write_rows(cursor, TASKS, changes.tasks)
    await _insert(cursor, "execution_tags", ("stream", "key", "value"), changes.tags)
    columns = ("stream", "sequence", "type", "occurred_at", "subject")
    await _insert(cursor, "journal", columns, changes.journal)
    outcomes = [(command, *rest) for command, rest in changes.outcomes.items()]
    columns = ("command_id", "kind", "event_id", "reason", "detail")
    await _insert(cursor, "outcomes", columns, outcomes)
    if outcomes:
        await cursor.executemany(
            "SELECT pg_notify('flightlog_outcomes', %s)", [(o[0],) for o in outcomes]
        )


async def _write_rows(cursor: AsyncCursor[Any], table: Table, rows: Rows) -> None:
    by_columns: dict[tuple[str, ...], list[Sequence[Any]]] = {}
    for row in rows.inserts.values():
        by_columns.setdefault(tuple(row), []).append(tuple(row.values()))
    for columns, values in by_columns.items():
        await _insert(cursor, table.name, columns, values)
    by_columns = {}
    for key, row in rows.updates.items():
        by_columns.setdefault(tuple(row), []).append((*row.values(), *key))
    for columns, values in by_columns.items():
        await cursor.executemany(_update(table, columns), values)


async def _insert(
    cursor: AsyncCursor[Any],
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    rows = list(rows)
    if not rows:
        return
    statement = SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        Identifier(table),
        SQL(", ").join(map(Identifier, columns)),
        SQL(", ").join(Placeholder() * len(columns)),
    )
    await cursor.executemany(statement, rows)


def _update(table: Table, columns: Sequence[str]) -> Composed:
    """Return the update of some columns; a phase that has ended stays."""
    sets = [
        SQL("{0} = COALESCE({0}, %s)" if c in _FIRST_WINS else "{0} = %s").format(
            Identifier(c)
        )
        for c in columns
    ]
    wheres = [SQL("{} = %s").format(Identifier(k)) for k in table.key]
    if "phase" in columns:
        ended = SQL(", ").join(map(SQL, (f"'{p}'" for p in TERMINAL)))  # type: ignore[arg-type]
        wheres.append(SQL("phase NOT IN ({})").format(ended))
    return SQL("UPDATE {} SET {} WHERE {}").format(
        Identifier(table.name), SQL(", ").join(sets), SQL(" AND ").join(wheres)
    )

"""Writing a batch's changes to Postgres: few statements, whatever the batch's size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg import AsyncCursor
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal, Placeholder

from infra.postgres.pool import queries
from projections.sql_files import SQL_FILES
from projections.views.changes import (
    APPENDED,
    ENDED,
    FIRST_WINS,
    NO_NEWS,
    Changes,
    Rows,
)
from projections.views.deletions import write_deletions

_ENDED = SQL(", ").join(map(Literal, sorted(ENDED)))
# A command's id from outside may be longer than a notification can be; whoever waits
# for that one looks again at its time limit.
_NOTIFY = (
    "SELECT pg_notify('flightlog_outcomes', id) FROM unnest(%s::text[]) AS id "
    "WHERE octet_length(id) BETWEEN 1 AND 7000"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A view's table, its primary key, and whether a repeated phase is no news."""

    name: str
    key: tuple[str, ...]
    steady: bool = False


EXECUTIONS = Table("executions", ("stream",))
NODES = Table("node_executions", ("stream", "node_id"), steady=True)
TASKS = Table("task_executions", ("stream", "node_id", "retry_attempt"))
_CATALOG = queries(SQL_FILES / "catalog.sql")
SIGNALS = Table("signals", ("stream", "signal_id"))
_TAG = ("stream", "key", "value")
_USE = ("stream", "source_stream")
_LINE = ("stream", "sequence", "type", "occurred_at", "subject", "summary")
_OUTCOME = ("command_id", "kind", "event_id", "reason", "detail")


async def write(cursor: AsyncCursor[Any], changes: Changes) -> None:
    """Write everything; the caller holds the transaction."""
    await _write_rows(cursor, EXECUTIONS, changes.executions)
    await _write_rows(cursor, NODES, changes.nodes)
    await _write_rows(cursor, TASKS, changes.tasks)
    await _write_rows(cursor, SIGNALS, changes.signals)
    await _insert(cursor, "execution_tags", _TAG, changes.tags)
    await _insert(cursor, "journal", _LINE, changes.journal)
    await _write_catalog(cursor, changes)
    await write_deletions(cursor, changes)
    outcomes = [(command, *rest) for command, rest in changes.outcomes.items()]
    await _insert(cursor, "outcomes", _OUTCOME, outcomes)
    if outcomes:
        await cursor.execute(_NOTIFY, ([_clean(o[0]) for o in outcomes],))


async def _write_catalog(cursor: AsyncCursor[Any], changes: Changes) -> None:
    """Keep outputs for reuse, and who reuses whose; let go of their makers' claims."""
    await _insert(cursor, "cache_uses", _USE, changes.cache_uses)
    if changes.catalog:
        await cursor.executemany(_CATALOG["put"], list(changes.catalog.values()))
    if changes.released:
        await cursor.executemany(_CATALOG["release"], changes.released)
    if changes.owners_gone:
        await cursor.execute(_CATALOG["let_go"], (changes.owners_gone,))


async def _write_rows(cursor: AsyncCursor[Any], table: Table, rows: Rows) -> None:
    by_columns: dict[tuple[str, ...], list[Sequence[Any]]] = {}
    for row in rows.inserts.values():
        by_columns.setdefault(tuple(row), []).append(tuple(row.values()))
    for columns, values in by_columns.items():
        await _insert(cursor, table.name, columns, values)
    updates: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for key, row in rows.updates.items():
        named = {f"key_{n}": _clean(v) for n, v in zip(table.key, key, strict=True)}
        named.update((name, _clean(value)) for name, value in row.items())
        updates.setdefault(tuple(row), []).append(named)
    for columns, changed in updates.items():
        await _execute(cursor, _update(table, columns), changed)


async def _insert(
    cursor: AsyncCursor[Any],
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    clean = [tuple(map(_clean, row)) for row in rows]
    if not clean:
        return
    await _execute(cursor, _insertion(table, tuple(columns)), clean)


async def _execute(
    cursor: AsyncCursor[Any], statement: bytes, rows: Sequence[Any]
) -> None:
    """Execute for each row; a single one goes without a pipeline of its own."""
    if len(rows) == 1:
        await cursor.execute(statement, rows[0])
    else:
        await cursor.executemany(statement, rows)


@cache
def _insertion(table: str, columns: tuple[str, ...]) -> bytes:
    statement = SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        Identifier(table),
        SQL(", ").join(map(Identifier, columns)),
        SQL(", ").join(Placeholder() * len(columns)),
    )
    return statement.as_bytes()


@cache
def _update(table: Table, columns: tuple[str, ...]) -> bytes:
    """Return the update of some columns; a phase that has ended stays."""
    sets = [_set(table, column, columns) for column in columns]
    wheres: list[Composable] = [
        SQL("{} = {}").format(Identifier(k), Placeholder(f"key_{k}")) for k in table.key
    ]
    if "phase" in columns:
        wheres.append(SQL("phase NOT IN ({})").format(_ENDED))
    statement = SQL("UPDATE {} SET {} WHERE {}").format(
        Identifier(table.name), SQL(", ").join(sets), SQL(" AND ").join(wheres)
    )
    return statement.as_bytes()


def _set(table: Table, column: str, columns: Sequence[str]) -> Composed:
    """Return one assignment, by the rules that `Rows` follows within a batch."""
    name, value = Identifier(column), Placeholder(column)
    if column in FIRST_WINS:
        return SQL("{0} = COALESCE({0}, {1})").format(name, value)
    if column in APPENDED:
        return SQL("{0} = {0} || {1}").format(name, value)
    if column in {"phase", "updated_at"} and table.steady and "phase" in columns:
        text = (
            "{0} = CASE WHEN phase = {2} OR (phase = {3} AND {2}::text = {4}) "
            "THEN {0} ELSE {1} END"
        )
        phases = Placeholder("phase"), *map(Literal, NO_NEWS)
        return SQL(text).format(name, value, *phases)
    return SQL("{} = {}").format(name, value)


def _clean(value: Any) -> Any:
    """Return a value that Postgres takes: it knows no text with NUL in it."""
    if isinstance(value, str) and "\0" in value:
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return value

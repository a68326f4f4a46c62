"""Writing a batch's changes to Postgres: few statements, whatever its size."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from psycopg import AsyncCursor

from infra.postgres.pool import Row, queries
from projections import rows
from projections.columns import R, SqlValue, key_text, stored_key
from projections.sql_files import SQL_FILES
from projections.table import NO_CHANGES, Insertion, Key, Table
from projections.views.changes import Changes, Rows

_CATALOG = queries(SQL_FILES / "catalog.sql")
_DELETIONS = queries(SQL_FILES / "deletions.sql")
_DELETED_FROM = (
    "executions",
    "tags",
    "nodes",
    "tasks",
    "signals",
    "journal",
    "catalog",
)
_NOTIFY = (
    "SELECT pg_notify('flightlog_outcomes', id) FROM unnest(%s::text[]) AS id "
    "WHERE id <> ''"
)
Cursor = AsyncCursor[Row]
Values = Sequence[SqlValue] | Mapping[str, SqlValue]


async def write(cursor: Cursor, changes: Changes) -> None:
    """Write everything; the caller holds the transaction."""
    await _write_rows(cursor, changes.executions)
    await _write_rows(cursor, changes.nodes)
    await _write_rows(cursor, changes.tasks)
    await _write_rows(cursor, changes.signals)
    for others in changes.others.values():
        await _write_rows(cursor, others)
    await insert_rows(cursor, rows.TAGS, changes.tags)
    await insert_rows(cursor, rows.JOURNAL, changes.journal)
    await _write_catalog(cursor, changes)
    await _write_deletions(cursor, changes)
    outcomes = changes.outcomes.values()
    await insert_rows(cursor, rows.OUTCOMES, outcomes)
    if outcomes:
        ids = [key_text(outcome.command_id) for outcome in outcomes]
        await cursor.execute(_NOTIFY, (ids,))


async def _write_catalog(cursor: Cursor, changes: Changes) -> None:
    """Write cached outputs and their uses; drop the reservations of their makers."""
    await insert_rows(cursor, rows.CACHE_USES, changes.cache_uses)
    if changes.catalog:
        await insert_rows(cursor, rows.CATALOG, changes.catalog.values())
        tags = [key_text(key.tag) for key in changes.catalog]
        await cursor.execute(_CATALOG["drop_superseded"], (tags,))
        await cursor.execute(_CATALOG["drop_superseded_deletions"], (tags,))
    if changes.released:
        released = [(*stored_key(key), owner) for key, owner in changes.released]
        await cursor.executemany(_CATALOG["release"], released)
    if changes.owners_gone:
        await cursor.execute(_CATALOG["release_all"], (changes.owners_gone,))


async def _write_deletions(cursor: Cursor, changes: Changes) -> None:
    """Delete the rows of deleted executions, after the batch's other changes."""
    if not changes.deleted:
        return
    noted = [(at, stream) for stream, at in changes.deleted]
    await cursor.executemany(_DELETIONS["deletions"], noted)
    streams = [stream for stream, _ in changes.deleted]
    for read_model in _DELETED_FROM:
        await cursor.execute(_DELETIONS[read_model], (streams,))


async def _write_rows(cursor: Cursor, changes: Rows[R]) -> None:
    """Add new rows as the batch left them, then change known ones."""
    if changes.added:
        insertion = changes.table.insertion
        added = [
            insertion.values(row, changes.changed.get(key, NO_CHANGES))
            for key, row in changes.added.items()
        ]
        await _add(cursor, insertion, added)
    by_fields: dict[tuple[str, ...], list[Key]] = {}
    for key, changed in changes.changed.items():
        if key not in changes.added:
            by_fields.setdefault(tuple(changed), []).append(key)
    for fields, keys in by_fields.items():
        update = changes.table.update(fields)
        values = [update.values(key, changes.changed[key]) for key in keys]
        await _execute(cursor, update.text, values)


async def insert_rows(cursor: Cursor, table: Table[R], rows_: Collection[R]) -> None:
    """Add rows to a table, as it does where their keys are known already."""
    if rows_:
        insertion = table.insertion
        await _add(cursor, insertion, [insertion.values(row) for row in rows_])


async def _add(
    cursor: Cursor, insertion: Insertion[R], values: Sequence[Sequence[SqlValue]]
) -> None:
    if insertion.prefers_arrays(len(values)):
        await cursor.execute(insertion.many, insertion.arrays(values))
    else:
        await _execute(cursor, insertion.one, values)


async def _execute(cursor: Cursor, statement: bytes, values: Sequence[Values]) -> None:
    """Execute for each set of values; a single one needs no pipeline of its own."""
    if len(values) == 1:
        await cursor.execute(statement, values[0])
    else:
        await cursor.executemany(statement, values)

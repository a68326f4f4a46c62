"""Redriving a stream that is passed over: its events are applied again, all of them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg.sql import SQL, Identifier

from infra.eventlog.contract import Pages, Received
from infra.postgres.failures import Failure, failure_of
from infra.postgres.pool import Connection, Pool, queries
from projections.columns import key_text
from projections.positions import stored_positions
from projections.projector.writer import write
from projections.rows import JOURNAL, PASSED_OVER
from projections.sql_files import SQL_FILES
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections
from projections.views.changes import Changes

_SQL = queries(SQL_FILES / "projector.sql")
ReadStream = Callable[[str], Pages]
"""Reads the events of a stream, from its first one."""


async def redrive(
    pool: Pool,
    read: ReadStream,
    stream: str,
    projections: StreamProjections = STREAM_PROJECTIONS,
) -> str:
    """Apply a stream's events again, as far as the read models are; '' if they fit.

    Otherwise nothing has changed, and the stream is still passed over; returns why.
    A running projector waits, then goes on with the stream.
    """
    try:
        async with pool.connection() as conn, conn.transaction():
            await conn.execute(_SQL["lock_positions"])
            await _delete(conn, stream, projections)
            await _apply(conn, read(stream), projections)
    except psycopg.Error as error:
        if failure_of(error) is not Failure.ROW:
            raise
        return str(error).partition("\n")[0]
    except (ValueError, OverflowError, KeyError) as error:
        return repr(error)
    return ""


async def _delete(
    conn: Connection, stream: str, projections: StreamProjections
) -> None:
    """Delete the rows of a stream; those of several streams are merged again."""
    kind = projections.of(stream)
    tables = [table for table in kind.tables if table not in kind.unpartitioned]
    for table in (*tables, JOURNAL.name, PASSED_OVER.name):
        statement = SQL("DELETE FROM {} WHERE stream = %s").format(Identifier(table))
        await conn.execute(statement, (key_text(stream),))


async def _apply(
    conn: Connection, pages: Pages, projections: StreamProjections
) -> None:
    positions = await stored_positions(conn)
    async for page in pages:
        changes = Changes()
        for received in page:
            if received.position <= positions.get(received.partition, 0):
                _fold(changes, received, projections)
        changes.outcomes.clear()
        await write(conn.cursor(), changes)


def _fold(changes: Changes, received: Received, projections: StreamProjections) -> None:
    message = projections.messages.decode(received.body)
    projections.apply(changes, received.envelope, message)

"""The commit of a batch: its changes and the positions, in one transaction."""

from __future__ import annotations

from infra.errors import ConflictError
from infra.eventlog.contract import Positions
from infra.postgres.pool import Connection, Pool, queries
from projections.positions import PROJECTOR, stored_positions
from projections.projector.writer import write
from projections.sql_files import SQL_FILES
from projections.views.changes import Changes

_SQL = queries(SQL_FILES / "projector.sql")


class ReadModelsRolledBackError(Exception):
    """The last commits, which don't wait for the disk, were lost in a crash."""


async def commit(
    pool: Pool, before: Positions, to: Positions, changes: Changes
) -> None:
    """Write changes and move the positions of partitions; nothing if that is done.

    Raises ReadModelsRolledBackError if the stored positions are older than those
    before, ConflictError if another projector moved them.
    """
    async with pool.connection() as conn, conn.transaction():
        if await _move(conn, before, to):
            async with conn.pipeline():
                await conn.execute(_SQL["commit_without_waiting"])
                await write(conn.cursor(), changes)


async def _move(conn: Connection, before: Positions, to: Positions) -> bool:
    """Move the positions; False if they are there: the answer of a commit was lost."""
    for partition, position in to.items():
        known = before.get(partition, 0)
        move = {"partition": partition, "from": known, "to": position}
        cursor = await conn.execute(_SQL["move"], {"name": PROJECTOR, **move})
        if cursor.rowcount == 1:
            continue
        stored = await stored_positions(conn)
        if to.items() <= stored.items():
            return False
        message = (
            f"Expected to be the only projector and at {known}, "
            f"but its position is {stored.get(partition)}"
        )
        if stored.get(partition, 0) < known:
            raise ReadModelsRolledBackError(message)
        raise ConflictError(message)
    return True

"""The commit of a batch: its changes and the positions, in one transaction."""

from __future__ import annotations

import msgspec

from infra.errors import ConflictError
from infra.eventlog.contract import Positions
from infra.postgres.pool import Connection, Pool, queries
from projections.columns import decode
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


class _Moved(msgspec.Struct, frozen=True):
    """How many positions were moved."""

    moved: int


async def _move(conn: Connection, before: Positions, to: Positions) -> bool:
    """Move all positions; False if all are there: the answer of a commit was lost.

    Raises, and so undoes what was moved, if only some of them could be: the changes
    belong to all of them.
    """
    partitions = sorted(to)
    known = [before.get(partition, 0) for partition in partitions]
    move = {"partitions": partitions, "from": known, "to": [to[p] for p in partitions]}
    cursor = await conn.execute(_SQL["move"], {"name": PROJECTOR, **move})
    row = await cursor.fetchone()
    moved = decode(_Moved, row).moved if row is not None else 0
    if moved == len(partitions):
        return True
    stored = await stored_positions(conn)
    found = {partition: stored.get(partition, 0) for partition in partitions}
    if not moved and found == to:
        return False
    expected = dict(zip(partitions, known, strict=True))
    message = f"Expected to be the only projector and at {expected}, but it is {found}"
    if any(found[p] < expected[p] for p in partitions):
        raise ReadModelsRolledBackError(message)
    raise ConflictError(message)

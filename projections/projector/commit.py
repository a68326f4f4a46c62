"""The commit of a batch: its changes and the positions, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import psycopg

from infra.errors import ConflictError
from infra.eventlog.contract import Positions
from infra.postgres.failures import Failure, failure_of
from infra.postgres.pool import Connection, Pool, queries
from projections.columns import decode
from projections.positions import PROJECTOR, stored_positions
from projections.projector.passed_over import (
    NOTHING_PASSED,
    PassedOver,
    Refused,
    UnstorableEventError,
    pass_over,
)
from projections.projector.writer import write
from projections.sql_files import SQL_FILES
from projections.views.changes import Changes

_SQL = queries(SQL_FILES / "projector.sql")


class ReadModelsMovedError(Exception):
    """The read models aren't where they were left: load positions, and go on there."""


class ReadModelsRolledBackError(ReadModelsMovedError):
    """The last commits, which don't wait for the disk, were lost in a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one transaction writes.

    Positions of partitions move from `before` to `to`. The changes were made while
    the streams of `passed` were passed over; that of `refused` is from now on.
    """

    before: Positions
    to: Positions
    changes: Changes
    passed: PassedOver = NOTHING_PASSED
    refused: Refused | None = None


async def commit(pool: Pool, wanted: Commit) -> None:
    """Write changes and move the positions of partitions; nothing if that is done.

    Raises ReadModelsMovedError if the stored positions are older than those before or
    other streams are passed over, ConflictError if another projector moved positions,
    UnstorableEventError if the tables can't hold the changes.
    """
    async with pool.connection() as conn, conn.transaction():
        if not await _move(conn, wanted):
            return
        try:
            async with conn.pipeline():
                await conn.execute(_SQL["commit_without_waiting"])
                await write(conn.cursor(), wanted.changes)
        except psycopg.Error as error:
            if failure_of(error) is not Failure.ROW:
                raise
            raise UnstorableEventError(str(error).partition("\n")[0]) from error
        except (ValueError, OverflowError) as error:  # while values are encoded
            raise UnstorableEventError(str(error)) from error
        if wanted.refused is not None:
            await pass_over(conn, wanted.refused)


class _Moved(msgspec.Struct, frozen=True):
    """A position that was moved; `digest` is that of what is passed over now."""

    digest: str | None


def _array(numbers: Iterable[int]) -> str:
    """Return an array as Postgres reads it: cheaper than the general conversion."""
    return f"{{{','.join(map(str, numbers))}}}"


async def _move(conn: Connection, wanted: Commit) -> bool:
    """Move all positions; False if all are there: the answer of a commit was lost.

    Raises, and so undoes what was moved, if only some of them could be: the changes
    belong to all of them.
    """
    to, partitions = wanted.to, list(wanted.to)
    known = [wanted.before.get(partition, 0) for partition in partitions]
    if 0 in known:
        new = [p for p, at in zip(partitions, known, strict=True) if not at]
        await conn.execute(_SQL["begin"], (PROJECTOR, new))
    move = {
        "partitions": _array(partitions),
        "from": _array(known),
        "to": _array(to.values()),
    }
    cursor = await conn.execute(_SQL["move"], {"name": PROJECTOR, **move})
    moved = [decode(_Moved, row) for row in await cursor.fetchall()]
    if len(moved) == len(partitions):
        if moved and moved[0].digest != wanted.passed.digest:
            raise ReadModelsMovedError(
                "Expected the same streams to be passed over as before, but others are"
            )
        return True
    stored = await stored_positions(conn)
    at = {partition: stored.get(partition, 0) for partition in partitions}
    if not moved and at == to:
        return False
    expected = dict(zip(partitions, known, strict=True))
    message = f"Expected to be the only projector and at {expected}, but it is at {at}"
    if any(at[p] < expected[p] for p in partitions):
        raise ReadModelsRolledBackError(message)
    raise ConflictError(message)

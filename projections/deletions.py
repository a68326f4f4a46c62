"""What a deletion changes in the views, and whose blobs are to be swept away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncCursor

from infra.database import Pool, queries
from projections.changes import Apply, Changes
from projections.selecting import SQL_FILES, fetch
from schemas import events as e
from schemas.envelope import Envelope

_SQL = queries(SQL_FILES / "deletions.sql")
_VIEWS = ("executions", "tags", "nodes", "tasks", "signals", "journal", "catalog")


def _deleted(c: Changes, v: Envelope, _m: e.ExecutionDeleted, at: datetime) -> None:
    c.deleted.append((at, v.stream))


APPLY: dict[type, Apply] = {e.ExecutionDeleted: _deleted}


async def write_deletions(cursor: AsyncCursor[Any], changes: Changes) -> None:
    """Take deleted executions out of the views; after all else of the batch."""
    if not changes.deleted:
        return
    await cursor.executemany(_SQL["note"], changes.deleted)
    streams = [stream for _, stream in changes.deleted]
    for view in _VIEWS:
        await cursor.execute(_SQL[view], (streams,))


async def due(pool: Pool, limit: int) -> Sequence[str]:
    """Return deleted executions whose blobs are to go, the oldest first."""
    return [row["stream"] for row in await fetch(pool, _SQL["due"], (limit,))]


async def note_swept(pool: Pool, stream: str) -> None:
    """Note that the blobs of a deleted execution are gone."""
    async with pool.connection() as conn:
        await conn.execute(_SQL["sweep"], (stream,))


async def drop_reservations(pool: Pool) -> None:
    """Forget reservations of outputs that nobody holds any more."""
    async with pool.connection() as conn:
        await conn.execute(_SQL["reservations"])


async def shown(pool: Pool, streams: Sequence[str]) -> Sequence[str]:
    """Return those of some executions that the views still show."""
    if not streams:
        return []
    rows = await fetch(pool, _SQL["shown"], (list(streams),))
    return [row["stream"] for row in rows]


async def old(pool: Pool, age_s: float, limit: int) -> Sequence[str]:
    """Return executions of users that ended so long ago, the oldest first."""
    return [row["stream"] for row in await fetch(pool, _SQL["old"], (age_s, limit))]

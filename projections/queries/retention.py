"""Whose blobs are to be swept away, and what else is of no more use to anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.postgres.pool import Pool, queries
from projections.positions import have_reached, stored_positions
from projections.queries.page import fetch
from projections.sql_files import SQL_FILES
from schemas.ids import ExecutionRef, execution_stream

_SQL = queries(SQL_FILES / "sweeping.sql")


async def due(pool: Pool, limit: int) -> Sequence[str]:
    """Return deleted executions whose blobs are to go, the oldest first."""
    return [row["stream"] for row in await fetch(pool, _SQL["due"], (limit,))]


async def reach(pool: Pool, end: Mapping[int, int]) -> bool:
    """Tell whether the views have come as far as these positions of the events."""
    async with pool.connection() as conn:
        return have_reached(await stored_positions(conn), end)


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


async def shares_folders(pool: Pool, ref: ExecutionRef) -> bool:
    """Tell whether another execution that is shown writes to folders of this name."""
    joined = f"{ref.project}-{ref.domain}-{ref.name}"
    key = (execution_stream(ref), ref.name, joined)
    return bool(await fetch(pool, _SQL["alike"], key))


async def old(pool: Pool, age_s: float, limit: int) -> Sequence[str]:
    """Return executions of users that ended so long ago, the oldest first."""
    return [row["stream"] for row in await fetch(pool, _SQL["old"], (age_s, limit))]

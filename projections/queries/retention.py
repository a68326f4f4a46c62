"""Queries of retention: whose blobs can be deleted, and which executions are old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from infra.postgres.pool import Pool, queries
from projections.positions import have_reached, stored_positions
from projections.queries.fetch import execute, fetch_values
from projections.sql_files import SQL_FILES
from schemas.ids import ExecutionRef, execution_stream

_SQL = queries(SQL_FILES / "retention.sql")


async def unswept(
    pool: Pool, limit: int, *, passed_over_are_known: bool = False
) -> Sequence[str]:
    """Return deleted executions whose blobs can be deleted, the oldest first.

    None while others are passed over, unless it is known what these use.
    """
    values = (passed_over_are_known, limit)
    return await fetch_values(pool, str, _SQL["unswept"], values)


async def read_models_have_reached(pool: Pool, end: Mapping[int, int]) -> bool:
    """Return whether the read models have reached these positions of the events."""
    async with pool.connection() as conn:
        return have_reached(await stored_positions(conn), end)


async def mark_swept(pool: Pool, stream: str) -> None:
    """Store that the blobs of a deleted execution are deleted."""
    await execute(pool, _SQL["mark_swept"], (stream,))


async def delete_expired_reservations(pool: Pool) -> None:
    """Delete reservations of outputs that expired a while ago."""
    await execute(pool, _SQL["delete_expired_reservations"])


async def existing(pool: Pool, streams: Sequence[str]) -> Sequence[str]:
    """Return those of some executions that the read models still have."""
    if not streams:
        return []
    return await fetch_values(pool, str, _SQL["existing"], (list(streams),))


async def shares_folders(pool: Pool, ref: ExecutionRef, *, by_name: bool) -> bool:
    """Return whether another existing execution writes to folders of this name.

    `by_name` counts those of the same name in any project and domain.
    """
    joined = f"{ref.project}-{ref.domain}-{ref.name}"
    key = (execution_stream(ref), by_name, ref.name, joined)
    return bool(await fetch_values(pool, str, _SQL["of_same_folders"], key))


async def ended_before(pool: Pool, age_s: float, limit: int) -> Sequence[str]:
    """Return executions without a parent that ended so long ago, the oldest first."""
    return await fetch_values(pool, str, _SQL["ended_before"], (age_s, limit))

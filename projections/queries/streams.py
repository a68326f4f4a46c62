"""Queries of streams, of whichever kind: their phases in the read models."""

from __future__ import annotations

import msgspec
from psycopg.errors import UndefinedTable
from psycopg.sql import SQL, Identifier, Literal

from infra.postgres.pool import Pool
from projections.queries.fetch import fetch, fetch_values
from projections.rows import PassedOverRow
from projections.views.apply import StreamProjections


class _StreamPhase(msgspec.Struct, frozen=True):
    stream: str
    phase: str


async def phases(pool: Pool, projections: StreamProjections) -> dict[str, str]:
    """Return the phase of every stream."""
    found: dict[str, str] = {}
    for projection in projections:
        statement = SQL("SELECT stream, phase FROM {}").format(
            Identifier(projection.root)
        )
        rows = await fetch(pool, _StreamPhase, statement)
        found |= {row.stream: row.phase for row in rows}
    return found


async def open_streams(pool: Pool, projections: StreamProjections) -> list[str]:
    """Return the streams that have not ended, kind by kind.

    Those that are passed over are among them: their rows don't say how they are.
    """
    found: list[str] = []
    for projection in projections:
        # Named one by one: an index may hold the others only.
        terminal = SQL(", ").join(map(Literal, sorted(projection.terminal_phases)))
        statement = SQL(
            "SELECT stream FROM {} WHERE phase NOT IN ({}) ORDER BY stream"
        ).format(Identifier(projection.root), terminal)
        found += await fetch_values(pool, str, statement)
    passed = [row.stream for row in await passed_over(pool)]
    return [*found, *(stream for stream in passed if stream not in found)]


async def passed_over(pool: Pool) -> list[PassedOverRow]:
    """Return the streams that are passed over, the first one first."""
    statement = "SELECT * FROM passed_over ORDER BY since, stream"
    try:
        return await fetch(pool, PassedOverRow, statement)
    except UndefinedTable:  # the engine's version is older
        return []

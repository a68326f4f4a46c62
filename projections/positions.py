"""Positions of the projector: how far the read models have come on the events."""

from __future__ import annotations

import msgspec

from infra.eventlog.contract import Positions
from infra.postgres.pool import Connection, queries
from projections.columns import decode
from projections.sql_files import SQL_FILES

PROJECTOR = "views"
"""The name under which the projector stores its positions."""
_QUERIES = queries(SQL_FILES / "projector.sql")
_STORED, _MOVE_TO = _QUERIES["stored_positions"], _QUERIES["move_to"]


class _Position(msgspec.Struct, frozen=True):
    log_partition: int
    position: int


async def stored_positions(conn: Connection) -> dict[int, int]:
    """Return the projector's position on each partition that it has begun."""
    cursor = await conn.execute(_STORED, (PROJECTOR,))
    found = [decode(_Position, row) for row in await cursor.fetchall()]
    return {row.log_partition: row.position for row in found}


async def move_position(conn: Connection, partition: int, position: int) -> None:
    """Store the projector's position on a partition, wherever it was."""
    await conn.execute(_MOVE_TO, (PROJECTOR, partition, position))


def have_reached(positions: Positions, end: Positions) -> bool:
    """Return whether positions are at or past the end of every partition."""
    return all(positions.get(number, 0) >= last for number, last in end.items())

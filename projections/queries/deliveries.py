"""Deliveries of notifications: listed, and sent again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from infra.postgres.pool import Pool, queries
from projections.notification_rows import DeliveryRow, DeliveryState
from projections.queries.fetch import fetch, fetch_values
from projections.sql_files import SQL_FILES

_SQL = queries(SQL_FILES / "notifications.sql")


async def list_deliveries(
    pool: Pool, stream: str, state: DeliveryState | None, limit: int
) -> list[DeliveryRow]:
    """Return deliveries, the newest first; '' and None for any stream and state."""
    wanted = {"stream": stream, "state": state or "", "limit": limit}
    return await fetch(pool, DeliveryRow, _SQL["list_deliveries"], wanted)


async def redrive(
    pool: Pool, delivery: str, channels: Sequence[str], now: datetime
) -> list[str]:
    """Make deliveries of channels that weren't sent due again; return their ids.

    '' for all; one whose alert has been resolved since stays as it is.
    """
    return await fetch_values(
        pool, str, _SQL["redrive"], {"id": delivery, "now": now, "channels": channels}
    )

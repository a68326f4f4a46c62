"""How pools connect again: at a steady interval, without end.

The library's pauses double up to minutes, and a pool that has given up connects again
only for its next caller: it would be back long after Postgres is.
"""

from __future__ import annotations

from typing import Final

from psycopg_pool.base import AttemptWithBackoff

RECONNECT_S = 0.25
RECONNECT_TIMEOUT_S: Final = float("inf")
"""For every pool: it never gives up."""

AttemptWithBackoff.INITIAL_DELAY = RECONNECT_S
AttemptWithBackoff.DELAY_BACKOFF = 1.0

"""The pool: a task that waits for a connection can be cancelled at any moment."""

from __future__ import annotations

import asyncio

import pytest

from infra.postgres.pool import Pool, open_pool
from tests.support.components.postgres import empty_database

pytestmark = pytest.mark.integration
TICKS = 12


async def _use(pool: Pool, enough: asyncio.Event) -> None:
    while not enough.is_set():
        async with pool.connection() as conn:
            await conn.execute("SELECT 1")


async def test_a_cancellation_that_meets_a_free_connection_is_not_lost() -> None:
    """Whichever turn of the event loop it comes in, after a connection is returned."""
    pool = await open_pool(empty_database(), size=1)
    lost: list[int] = []
    for ticks in range(TICKS):
        async with pool.connection():
            enough = asyncio.Event()
            waiting = asyncio.create_task(_use(pool, enough))
            await asyncio.sleep(0.05)
        for _ in range(ticks):
            await asyncio.sleep(0)
        waiting.cancel()
        done, _ = await asyncio.wait({waiting}, timeout=1)
        if not done:
            lost.append(ticks)
            enough.set()
            await waiting
    await pool.close()

    assert lost == []

"""The projector without new events: it notices that its last commits were lost."""

from __future__ import annotations

import asyncio

from infra.postgres.pool import Pool
from projections.projector.projector import Projector
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels

SOON_S = 10


async def went_back(pool: Pool) -> None:
    """Reset the read models to before their last commit, as a crash of Postgres."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("DELETE FROM journal WHERE sequence > 3")
        await conn.execute("UPDATE executions SET phase = 'RUNNING'")
        await conn.execute("UPDATE projector_positions SET position = 3")


async def test_lost_commits_are_noticed_without_news(read_models: ReadModels) -> None:
    """When the last events of all are lost, no later event has to show it."""
    engine = Engine(definition([task_node("a")], "a"), created())
    engine.begin()
    engine.succeed("a")
    read_models.log.add(STREAM, *engine.events)
    projector = Projector(read_models.log, read_models.pool)
    running = asyncio.create_task(projector.run())

    async def whole() -> bool:
        rows = await read_models.rows("executions")
        return bool(rows) and rows[0]["phase"] == "SUCCEEDED"

    async with asyncio.timeout(SOON_S):
        while not await whole():
            await asyncio.sleep(0.01)
        await went_back(read_models.pool)
        while not await whole():
            await asyncio.sleep(0.01)
    running.cancel()

    assert len(await read_models.rows("journal")) == len(engine.events)

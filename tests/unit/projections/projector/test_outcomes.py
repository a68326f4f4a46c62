"""Outcomes of commands: who waits for one gets it after the commit."""

from __future__ import annotations

import asyncio

import psycopg

from infra.postgres.pool import Pool
from projections.projector.projector import Projector
from projections.queries import executions
from schemas.messages import outcomes
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels


async def test_an_outcome_names_the_first_event(read_models: ReadModels) -> None:
    """The outcome of a command that is awaited names its first event only."""
    engine = Engine(definition([task_node("a")], "a"), created())
    await read_models.given(STREAM, *engine.begin(), command="c1", reply=True)

    assert ("done", f"{STREAM}/1", "", "") == await executions.outcome(
        read_models.pool, "c1"
    )


async def test_refusals_are_outcomes(read_models: ReadModels) -> None:
    """Refused and idle commands have outcomes too, and take no place in a stream."""
    rejected = outcomes.CommandRejected(
        command_id="c2", command_type="T", reason="NOT_FOUND", detail="Expected\0, but"
    )
    read_models.log.answer(STREAM, rejected)
    read_models.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c3", command_type="T")
    )
    await read_models.follow()

    assert {
        "c2": ("rejected", "", "NOT_FOUND", "Expected\N{REPLACEMENT CHARACTER}, but"),
        "c3": ("no_effect", "", "", ""),
    } == await executions.outcomes(read_models.pool, ["c2", "c3", "c4"])


async def test_outcomes_are_notified(read_models: ReadModels, pool: Pool) -> None:
    """Listeners get the id of a command with an outcome after the commit."""
    async with await psycopg.AsyncConnection.connect(
        str(pool.conninfo), autocommit=True
    ) as listener:
        await listener.execute("LISTEN flightlog_outcomes")
        read_models.log.answer(
            STREAM, outcomes.CommandHadNoEffect(command_id="c4", command_type="T")
        )
        await read_models.follow()
        notified = [n async for n in listener.notifies(timeout=5, stop_after=1)]

    assert ["c4"] == [n.payload for n in notified]


async def test_outcomes_settle_what_waits_in_the_process(
    read_models: ReadModels,
) -> None:
    """Within one process `settle` is called after the commit, without the database."""
    settled: dict[str, object] = {}
    read_models.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c5", command_type="T")
    )
    projector = Projector(read_models.log, read_models.pool, settle=settled.__setitem__)
    await projector.catch_up()

    assert {"c5": ("no_effect", "", "", "")} == settled


async def test_old_outcomes_are_trimmed(read_models: ReadModels) -> None:
    """Outcomes are deleted after a while."""
    read_models.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c6", command_type="T")
    )
    await read_models.follow()
    projector = Projector(
        read_models.log, read_models.pool, outcomes_kept_s=0, trim_s=0
    )
    task = asyncio.create_task(projector.run())
    async with asyncio.timeout(5):
        while await executions.outcome(read_models.pool, "c6") is not None:
            await asyncio.sleep(0.01)
    task.cancel()

    assert await executions.outcome(read_models.pool, "c6") is None

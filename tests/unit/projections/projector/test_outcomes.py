"""Outcomes of commands: written by the projector, notified, trimmed."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from infra.postgres.pool import Pool
from projections.projector.projector import Projector
from projections.queries import executions
from projections.rows import Outcome
from schemas.messages import outcomes
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels


async def test_an_outcome_names_the_first_event(read_models: ReadModels) -> None:
    """The outcome of a command that is awaited names its first event only."""
    engine = Engine(definition([task_node("a")], "a"), created())
    await read_models.given(STREAM, *engine.begin(), command="c1", reply=True)

    outcome = Outcome(command_id="c1", kind="done", event_id=f"{STREAM}/1")
    assert [outcome] == await executions.get_outcomes(read_models.pool, ["c1"])


async def test_rejections_are_outcomes(read_models: ReadModels) -> None:
    """Rejected commands and those without effect have outcomes, and no sequence."""
    rejected = outcomes.CommandRejected(
        command_id="c2", command_type="T", reason="NOT_FOUND", detail="Expected\0, but"
    )
    read_models.log.answer(STREAM, rejected)
    read_models.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c3", command_type="T")
    )
    await read_models.follow()

    ids = ["c2", "c3", "c4"]
    assert [
        Outcome(
            command_id="c2",
            kind="rejected",
            reason="NOT_FOUND",
            detail="Expected\N{REPLACEMENT CHARACTER}, but",
        ),
        Outcome(command_id="c3", kind="no_effect"),
    ] == await executions.get_outcomes(read_models.pool, ids)


@pytest.mark.parametrize("batch_max", [1, 1000])
async def test_the_first_outcome_counts(
    read_models: ReadModels, batch_max: int
) -> None:
    """A command that is on the log twice is done, in whatever batches it comes."""
    engine = Engine(definition([task_node("a")], "a"), created())
    read_models.log.add(STREAM, *engine.begin(), command="c1", reply=True)
    again = outcomes.CommandRejected(
        command_id="c1", command_type="T", reason="ALREADY_EXISTS", detail="Expected"
    )
    read_models.log.answer(STREAM, again)
    await read_models.follow(batch_max)

    (outcome,) = await executions.get_outcomes(read_models.pool, ["c1"])
    assert (outcome.kind, outcome.event_id) == ("done", f"{STREAM}/1")


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
        found = [n async for n in listener.notifies(timeout=5, stop_after=1)]

    assert ["c4"] == [n.payload for n in found]


async def test_outcomes_are_passed_on(read_models: ReadModels) -> None:
    """Within the process, each outcome is passed on after the commit."""
    found: list[Outcome] = []
    read_models.log.answer(
        STREAM, outcomes.CommandHadNoEffect(command_id="c5", command_type="T")
    )
    projector = Projector(read_models.log, read_models.pool, on_outcome=found.append)
    await projector.catch_up()

    assert [Outcome(command_id="c5", kind="no_effect")] == found


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
        while await executions.get_outcomes(read_models.pool, ["c6"]):
            await asyncio.sleep(0.01)
    task.cancel()

    assert await executions.get_outcomes(read_models.pool, ["c6"]) == []

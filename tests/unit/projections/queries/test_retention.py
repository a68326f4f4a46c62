"""What a deletion leaves in the read models, and whose blobs are due."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from projections.queries import retention
from schemas.ids import ExecutionRef
from schemas.messages import commands as c
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels

AGAIN = "execution/p/d/main-2"
MAIN = ExecutionRef(project="p", domain="d", name="main-1")


def ended() -> Engine:
    """Return an execution of one task that succeeded."""
    engine = Engine(definition([task_node("a")], "a"), created())
    engine.begin()
    engine.succeed("a")
    return engine


def deleted() -> Engine:
    """Return one that was deleted then."""
    engine = ended()
    engine.do(c.DeleteExecution(principal="somebody"))
    return engine


@pytest.mark.parametrize("batch_max", [1, 3, 1000])
async def test_one_line_is_left(read_models: ReadModels, batch_max: int) -> None:
    """Rows that an earlier batch wrote go as do those of the same one."""
    read_models.log.add(STREAM, *deleted().events)
    await read_models.follow(batch_max)

    rows = await read_models.dump()
    (line,) = rows.pop("journal")

    assert {table for table, found in rows.items() if found} == {"deletions"}
    assert line["summary"] == "deleted by somebody; it had ended SUCCEEDED"


async def test_what_is_deleted_is_due_until_it_is_swept(
    read_models: ReadModels,
) -> None:
    """It is listed for the sweeper until that marks it swept."""
    await read_models.given(STREAM, *ended().events)
    assert await retention.unswept(read_models.pool, 10) == []
    await read_models.given(STREAM, deleted().events[-1])

    assert await retention.unswept(read_models.pool, 10) == [STREAM]
    noted = "INSERT INTO passed_over (stream, sequence, error) VALUES ('x', 1, '')"
    async with read_models.pool.connection() as conn:
        await conn.execute(noted)
        assert await retention.unswept(read_models.pool, 10) == []  # it may use blobs
        await conn.execute("DELETE FROM passed_over")
    assert await retention.existing(read_models.pool, [STREAM]) == []
    await retention.mark_swept(read_models.pool, STREAM)
    assert await retention.unswept(read_models.pool, 10) == []


async def test_an_original_waits_for_its_recovery(read_models: ReadModels) -> None:
    """Its blobs are in use until the recovery is deleted, and swept, too."""
    engine = deleted()
    second = [
        replace(
            engine.events[0],  # type: ignore[type-var]
            execution=ExecutionRef(project="p", domain="d", name="main-2"),
            recovers=MAIN,
        ),
        *engine.events[1:],
    ]
    await read_models.given(STREAM, *engine.events)
    await read_models.given(AGAIN, *second[:-1])
    assert await retention.unswept(read_models.pool, 10) == []
    await read_models.given(AGAIN, second[-1])

    assert await retention.unswept(read_models.pool, 10) == [AGAIN]
    await retention.mark_swept(read_models.pool, AGAIN)
    assert await retention.unswept(read_models.pool, 10) == [STREAM]


async def test_only_old_executions_of_users_are_too_old(
    read_models: ReadModels,
) -> None:
    """What ended in 2023 is; an age that nothing has finds nothing."""
    await read_models.given(STREAM, *ended().events)

    assert await retention.ended_before(read_models.pool, 3600, 10) == [STREAM]
    assert await retention.ended_before(read_models.pool, 3600, 0) == []
    assert await retention.ended_before(read_models.pool, 10**10, 10) == []

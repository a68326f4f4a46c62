"""Events that the read models can't hold: their own stream is passed over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from infra.eventlog.contract import Pages
from infra.postgres.pool import Pool
from projections.columns import KEY_BYTES_MAX, key_text
from projections.positions import stored_positions
from projections.projector.passed_over import UnstorableEventError
from projections.projector.projector import Projector, rebuild
from projections.projector.rebuild import open_rebuild
from projections.projector.redrive import redrive
from projections.queries import executions
from projections.queries.streams import open_streams, passed_over
from projections.rows import Outcome
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections
from projections.views.changes import Changes
from schemas.envelope import Envelope
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.commands import Heartbeat
from tests.support.engine import STREAM, Engine, created
from tests.support.graphs import definition, task_node
from tests.support.harness.read_models import ReadModels
from tests.support.messages import example

OTHER = "execution/p/d/other"
HUGE = ne.NodeRequeued(occurred_at_us=1, node_id="a", attempt=2**40)
"""An attempt of a number that its column doesn't hold."""
UNKNOWN = replace(
    example(ne.NodeQueued), site=replace(example(ne.NodeQueued).site, kind="x")
)
"""A node of a kind that has no row."""


class Repaired(StreamProjections):
    """The projections of a version that knows how to show what is refused here."""

    def apply(self, changes: Changes, envelope: Envelope, message: Any) -> None:
        """Leave out what can't be stored."""
        if message not in {HUGE, UNKNOWN}:
            super().apply(changes, envelope, message)


REPAIRED = Repaired(*STREAM_PROJECTIONS)


def a_run(name: str = "main-1") -> list[e.ExecutionEvent]:
    """Return the events of a run of one task."""
    ref = replace(created().execution, name=name)
    first = replace(created(), execution=ref)
    engine = Engine(definition([task_node("a")], "a"), first)
    engine.begin()
    engine.succeed("a")
    return engine.events


async def given(read_models: ReadModels, *refused: e.ExecutionEvent) -> None:
    """Project two runs; the first one has events that can't be stored in between."""
    run, other, log = a_run(), a_run("other"), read_models.log
    log.add(STREAM, *run[:4])
    log.add(OTHER, *other[:4])
    log.add(STREAM, *refused, command="c1", reply=True)
    log.add(OTHER, *other[4:])
    log.add(STREAM, run[4], command="c2", reply=True)
    log.add(STREAM, *run[5:])
    await read_models.follow()


def reading(read_models: ReadModels) -> Any:
    """Return what reads the events of a stream."""

    async def read(stream: str) -> Pages:
        yield [r for r in read_models.log.records if r.envelope.stream == stream]

    return read


async def phases(read_models: ReadModels) -> dict[str, str]:
    """Return the phase of each execution."""
    rows = await read_models.rows("executions")
    return {row["stream"]: row["phase"] for row in rows}


@pytest.mark.parametrize("refused", [HUGE, UNKNOWN])
@pytest.mark.parametrize("batch_max", [1, 7, 1000])
async def test_only_its_own_stream_is_passed_over(
    read_models: ReadModels, refused: e.ExecutionEvent, batch_max: int
) -> None:
    """Its rows stop there, outcomes are written, and the other stream goes on."""
    await given(read_models, refused)

    (passed,) = await passed_over(read_models.pool)
    assert (passed.stream, passed.sequence) == (STREAM, 5)
    assert passed.error
    assert await phases(read_models) == {STREAM: "RUNNING", OTHER: "SUCCEEDED"}
    lines = await read_models.rows("journal")
    assert [r["sequence"] for r in lines if r["stream"] == STREAM] == [1, 2, 3, 4]
    assert await executions.get_outcomes(read_models.pool, ["c1", "c2"]) == [
        Outcome(command_id="c1", kind="done", event_id=f"{STREAM}/5"),
        Outcome(command_id="c2", kind="done", event_id=f"{STREAM}/6"),
    ]
    assert STREAM in await open_streams(read_models.pool, STREAM_PROJECTIONS)
    once = await read_models.dump()
    await rebuild(read_models.log, read_models.pool)
    assert once == await read_models.dump()


async def test_a_first_event_may_be_refused(read_models: ReadModels) -> None:
    """The execution isn't shown, its outcome is."""
    broken = replace(created(), spec=b"\xff")
    read_models.log.add(STREAM, broken, command="c1", reply=True)
    read_models.log.add(OTHER, *a_run("other"))
    projector = await read_models.follow()

    assert projector.passed.has(STREAM)
    assert await phases(read_models) == {OTHER: "SUCCEEDED"}
    assert len(await executions.get_outcomes(read_models.pool, ["c1"])) == 1


async def test_a_message_that_is_no_event_costs_its_stream(
    read_models: ReadModels,
) -> None:
    """Any program may write to the topic: also behind what is passed over already."""
    beat = Heartbeat(runner="r", incarnation="i", occurred_at_us=1)
    read_models.log.add(STREAM, beat, beat)
    read_models.log.add(OTHER, *a_run("other"))
    projector = await read_models.follow()

    assert projector.passed.has(STREAM)
    assert await phases(read_models) == {OTHER: "SUCCEEDED"}


async def test_a_redriven_stream_has_all_its_rows(read_models: ReadModels) -> None:
    """Its events are applied again once a version can show them; it goes on then."""
    await given(read_models, HUGE)
    pool, read = read_models.pool, reading(read_models)
    follower = Projector(read_models.log, pool)
    await follower.load()
    assert "out of range" in await redrive(pool, read, STREAM)
    assert len(await passed_over(pool)) == 1

    assert await redrive(pool, read, STREAM, REPAIRED) == ""

    assert await passed_over(pool) == []
    assert await phases(read_models) == {STREAM: "SUCCEEDED", OTHER: "SUCCEEDED"}
    deleted = e.ExecutionDeleted(occurred_at_us=9, principal="me", phase="SUCCEEDED")
    read_models.log.add(STREAM, deleted)
    await follower.catch_up()
    assert await phases(read_models) == {OTHER: "SUCCEEDED"}
    assert not follower.passed.streams


async def test_a_running_projector_notices_a_redrive(read_models: ReadModels) -> None:
    """It passes a stream over no longer, though it was told so when it began."""
    await given(read_models, HUGE)
    projector = Projector(read_models.log, read_models.pool)
    running = asyncio.create_task(projector.run())
    async with asyncio.timeout(10):
        while not projector.passed.streams:
            await asyncio.sleep(0.001)
        await redrive(read_models.pool, reading(read_models), STREAM, REPAIRED)
        deleted = e.ExecutionDeleted(occurred_at_us=9, principal="", phase="SUCCEEDED")
        read_models.log.add(STREAM, deleted)
        while STREAM in await phases(read_models):
            await asyncio.sleep(0.001)
        while not running.done():  # psycopg may swallow one while it ends a query
            running.cancel()
            await asyncio.sleep(0.01)

    assert not projector.passed.streams


async def test_a_swap_replaces_what_is_passed_over(
    read_models: ReadModels, pool: Pool
) -> None:
    """A replay by a version that can show everything ends it."""
    await given(read_models, HUGE)

    async def read(after: Any, end: Any) -> Pages:
        del after, end
        yield read_models.log.records

    async with pool.connection() as conn:
        end = await stored_positions(conn)
    for projections, left in ((STREAM_PROJECTIONS, 1), (REPAIRED, 0)):
        async with open_rebuild(
            str(pool.conninfo), pool, read, end, projections=projections
        ) as rebuilt:
            await rebuilt.catch_up(lambda _: None)
            await rebuilt.compare_and_swap(swap=True)
        assert len(await passed_over(pool)) == left
    assert (await phases(read_models))[STREAM] == "SUCCEEDED"


async def test_two_projectors_agree_on_what_is_passed_over(
    read_models: ReadModels,
) -> None:
    """One that doesn't know of a stream yet loads it before it commits."""
    late = Projector(read_models.log, read_models.pool)
    late.partitions = frozenset({1})
    await late.load()
    await given(read_models, HUGE)
    record = replace(read_models.log.records[-1], partition=1, position=1)
    with pytest.raises(Exception, match="passed over"):
        await late.apply_batch([record])
    await late.load()
    await late.apply_batch([record])

    assert late.positions == {1: 1}
    assert (await phases(read_models))[STREAM] == "RUNNING"


def test_what_is_refused_is_an_error_of_its_own() -> None:
    """Nothing but what a row can't hold is passed over."""
    assert UnstorableEventError.__bases__ == (Exception,)


@pytest.mark.parametrize("text", ["é" * 262, "a" * 524, "", "a\0b"])
def test_short_keys_stay(text: str) -> None:
    """Only what is too long for an index is shortened, and NUL is replaced."""
    assert key_text(text) == text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def test_long_keys_stay_different() -> None:
    """The digest of the whole text follows its beginning."""
    found = {key_text("é" * 263 + end) for end in ("", "a", "b")}
    assert len(found) == 3
    assert all(len(text.encode()) <= KEY_BYTES_MAX for text in found if text)

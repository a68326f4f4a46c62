"""Projectors that share the events: positions decide who applied what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from infra.errors import ConflictError
from infra.eventlog.contract import Positions, Received
from infra.postgres.pool import Pool
from projections.positions import stored_positions
from projections.projector.commit import ReadModelsRolledBackError
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from schemas import topics
from schemas.ids import ExecutionRef
from schemas.messages import execution_events as e
from tests.support.engine import STREAM, created
from tests.support.harness.read_models import ReadModels
from tests.support.memory_log import MemoryLog, event_records
from tests.unit.projections.projector.test_projector import a_retried_run

pytestmark = pytest.mark.integration


class OneShare:
    """The only partition of a log in memory, with marks of commits in between."""

    def __init__(self, log: MemoryLog, mark: int = 0) -> None:
        self.log, self.mark = log, mark
        self.at = 0
        self.reassigned = False
        self.begun: list[int] = []

    @asynccontextmanager
    async def join_group(self, group: str, topic: str) -> AsyncIterator[OneShare]:
        """Give itself."""
        del group, topic
        yield self

    async def partitions(self) -> frozenset[int]:
        """Own the only one."""
        return frozenset({0})

    def is_reassigned(self) -> bool:
        """Say so once."""
        reassigned, self.reassigned = self.reassigned, False
        return reassigned

    async def begin(self, positions: Positions) -> None:
        """Go there."""
        self.at = positions[0]
        self.begun.append(self.at)

    async def read(self, limit: int) -> Sequence[Received]:
        """Return what is next."""
        await asyncio.sleep(0.001)
        found = [r for r in self.log.records if r.position > self.at][:limit]
        if found:
            self.at = found[-1].position
        return found

    async def reached(self) -> Positions:
        """Be past the marker after the last record."""
        last = self.log.records[-1].position if self.log.records else 0
        return {0: self.at + (self.mark if self.at == last else 0)}


async def follow(share: OneShare, read_models: ReadModels, position: int) -> Projector:
    """Run a partitioned projector until the read models are at a position."""
    projector = Projector(read_models.log, read_models.pool, retry_s=0.001)
    running = asyncio.create_task(PartitionedProjector(share, projector).run())
    async with asyncio.timeout(10):
        while projector.positions.get(0, 0) < position:
            if running.done():
                await running
            await asyncio.sleep(0.002)
    running.cancel()
    await asyncio.wait({running})
    return projector


async def test_positions_pass_what_is_no_event(read_models: ReadModels) -> None:
    """The marker of a commit after the last event counts as read."""
    engine = a_retried_run()
    read_models.log.add(STREAM, *engine.events)
    count = len(read_models.log.records)
    await follow(OneShare(read_models.log, mark=1), read_models, count + 1)

    assert len(await read_models.rows("journal")) == count


async def test_the_slower_of_two_reloads_its_positions(read_models: ReadModels) -> None:
    """Another moved the position meanwhile: nothing is doubled, nothing is lost."""
    engine = a_retried_run()
    read_models.log.add(STREAM, *engine.events[:5])
    share = OneShare(read_models.log)
    projector = Projector(read_models.log, read_models.pool, retry_s=0.001)
    running = asyncio.create_task(PartitionedProjector(share, projector).run())
    async with asyncio.timeout(10):
        while projector.position < 5:
            await asyncio.sleep(0.002)
        read_models.log.add(STREAM, *engine.events[5:9])
        await read_models.follow()  # by another
        read_models.log.add(STREAM, *engine.events[9:])
        while projector.position < len(engine.events):
            assert not running.done()
            await asyncio.sleep(0.002)
    running.cancel()

    assert len(await read_models.rows("journal")) == len(engine.events)


def received(partition: int) -> list[Received]:
    """Return the events of a stream that a partition begins with."""
    stream = f"execution/p/d/on-{partition}"
    ref = ExecutionRef(project="p", domain="d", name=f"on-{partition}")
    events = [
        replace(created(), execution=ref),
        e.ExecutionStarted(occurred_at_us=created().occurred_at_us + 1),
    ]
    return [
        Received(
            topic=topics.EVENTS,
            key=stream,
            envelope=record.envelope,
            body=record.body,
            partition=partition,
            position=record.envelope.sequence,
        )
        for record in event_records(stream, events)
    ]


async def positions(pool: Pool) -> dict[int, int]:
    """Return the positions in the read models."""
    async with pool.connection() as conn:
        return await stored_positions(conn)


async def test_a_joining_projector_costs_no_events(read_models: ReadModels) -> None:
    """Of a batch with a partition that another one has applied nothing is kept."""
    old, new = (Projector(read_models.log, read_models.pool) for _ in range(2))
    old.partitions, new.partitions = frozenset({0, 1}), frozenset({1})
    for projector in (old, new):
        await projector.load()
    await new.apply_batch(received(1), {1: 3})  # to the end, past a marker
    with pytest.raises(ConflictError, match="only projector"):
        await old.apply_batch([*received(0), *received(1)], {0: 3, 1: 3})

    assert await positions(read_models.pool) == {1: 3}
    await old.load()
    await old.apply_batch(received(0), {0: 3})
    assert len(await read_models.rows("executions")) == 2


async def test_a_lost_answer_for_several_partitions(read_models: ReadModels) -> None:
    """What stands at its target on all partitions was committed."""
    one, again = (Projector(read_models.log, read_models.pool) for _ in range(2))
    await one.apply_batch([*received(0), *received(1)], {0: 3, 1: 3})
    await again.apply_batch([*received(0), *received(1)], {0: 3, 1: 3})

    assert await positions(read_models.pool) == {0: 3, 1: 3} == again.positions


async def test_a_missing_position_is_that_of_the_beginning(
    read_models: ReadModels,
) -> None:
    """It isn't inserted at whatever place a projector believes to be at."""
    projector = Projector(read_models.log, read_models.pool)
    projector.positions = {0: 2}
    with pytest.raises(ReadModelsRolledBackError):
        await projector.apply_batch(received(0), {0: 3})

    assert await positions(read_models.pool) == {}
    await projector.load()
    await projector.apply_batch(received(0), {0: 3})
    assert await positions(read_models.pool) == {0: 3}


async def test_a_reassignment_reloads_positions(read_models: ReadModels) -> None:
    """After an assignment, reading begins where the read models are."""
    engine = a_retried_run()
    read_models.log.add(STREAM, *engine.events)
    share = OneShare(read_models.log)
    share.reassigned = True
    await follow(share, read_models, len(engine.events))

    assert len(share.begun) == 2

"""Projectors that share the events: positions decide who applied what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from infra.eventlog.contract import Positions, Received
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from tests.support.engine import STREAM
from tests.support.harness.read_models import ReadModels
from tests.support.memory_log import MemoryLog
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


async def test_a_reassignment_reloads_positions(read_models: ReadModels) -> None:
    """After an assignment, reading begins where the read models are."""
    engine = a_retried_run()
    read_models.log.add(STREAM, *engine.events)
    share = OneShare(read_models.log)
    share.reassigned = True
    await follow(share, read_models, len(engine.events))

    assert len(share.begun) == 2

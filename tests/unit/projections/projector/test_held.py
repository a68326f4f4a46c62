"""Events that a newer version wrote: their partition waits, the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from infra.eventlog.contract import Positions, Received
from infra.newer_messages import NewerMessage
from projections.positions import stored_positions
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from schemas.wire import codec
from tests.support.harness.read_models import ReadModels
from tests.unit.projections.projector.test_partitioned import received

pytestmark = pytest.mark.integration
UNKNOWN = b"\xc3\x01NEWERVER"


@dataclass(slots=True)
class Share:
    """Two partitions, read at once from their positions."""

    records: list[Received]
    at: dict[int, int] = field(default_factory=dict)
    joined: int = 0

    @asynccontextmanager
    async def join_group(self, _group: str, _topic: str) -> AsyncIterator[Share]:
        """Count who joins."""
        self.joined += 1
        yield self

    async def partitions(self) -> frozenset[int]:
        """Own both."""
        return frozenset({0, 1})

    def is_reassigned(self) -> bool:
        """Stay as it is."""
        return False

    async def begin(self, positions: Positions) -> None:
        """Go there."""
        self.at = dict(positions)

    async def read(self, limit: int) -> Sequence[Received]:
        """Return what is next."""
        await asyncio.sleep(0.001)
        found = [r for r in self.records if r.position > self.at[r.partition]][:limit]
        for one in found:
            self.at[one.partition] = one.position
        return found

    async def reached(self) -> Positions:
        """Return where reading is."""
        return dict(self.at)


@dataclass(slots=True)
class Announced:
    """Says that the unknown schema is a newer version's."""

    is_listed: bool = True
    is_read: bool = False

    async def find(self, fingerprint: str) -> NewerMessage | None:
        """Return it if it is listed."""
        assert fingerprint == UNKNOWN[2:].hex()
        return NewerMessage("flightlog.v9.NodeQueued", 9) if self.is_listed else None

    async def has_reader(self, message: NewerMessage) -> bool:
        """Return whether a newer process runs."""
        del message
        return self.is_read


def _share() -> Share:
    """Return two partitions; the first has an unknown event after two others."""
    first, second = received(0), received(1)
    last = first[-1]
    newer = [
        replace(
            last,
            body=UNKNOWN if number == 3 else last.body,
            position=number,
            envelope=replace(last.envelope, id=f"x/{number}", sequence=number),
        )
        for number in (3, 4)
    ]
    return Share([*first, *newer, *second])


async def test_only_the_partition_with_it_waits(read_models: ReadModels) -> None:
    """What is before it and on other partitions is applied; its position stays."""
    projector = Projector(read_models.log, read_models.pool, retry_s=0.001)
    shared = PartitionedProjector(_share(), projector, Announced())
    running = asyncio.create_task(shared.run())
    async with asyncio.timeout(10):
        while projector.positions.get(1, 0) < 2 or not shared.held:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)
    running.cancel()

    assert len(await read_models.rows("executions")) == 2
    async with read_models.pool.connection() as conn:
        assert await stored_positions(conn) == {0: 2, 1: 2}
    assert set(shared.held) == {0}
    assert not projector.stopped


async def test_it_leaves_the_group_once_another_can_read_it(
    read_models: ReadModels,
) -> None:
    """And joins again later: nothing is decided for ever."""
    projector = Projector(read_models.log, read_models.pool, retry_s=0.001)
    share, newer = _share(), Announced(is_read=True)
    shared = PartitionedProjector(share, projector, newer, given_up_s=0.01)
    running = asyncio.create_task(shared.run())
    async with asyncio.timeout(10):
        while share.joined < 3:
            assert not running.done(), running.exception()
            await asyncio.sleep(0.002)
    running.cancel()


async def test_what_nobody_announced_stops_the_projector(
    read_models: ReadModels,
) -> None:
    """It is no message of Flightlog's."""
    projector = Projector(read_models.log, read_models.pool, retry_s=0.001)
    newer = Announced(is_listed=False)
    with pytest.raises(codec.UndecodableMessageError):
        await PartitionedProjector(_share(), projector, newer).run()

"""One process owns partitions side by side; each has a state of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from infra.eventlog.contract import OwnedPartition, Serve
from tests.support.clocks import FixedClock
from tests.support.fakes import MemoryLog
from workers.propeller.leases import Leases
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.loop import Bounds, Propeller
from workers.propeller.partitions import Partitions
from workers.propeller.stream_kinds import STREAM_KINDS
from workers.propeller.timers import Timers

SECOND_US = 1_000_000


class TwoPartitions(MemoryLog):
    """A log that assigns two partitions, until each is owned."""

    def __init__(self) -> None:
        super().__init__(poll_s=0.01)
        self.taken = (asyncio.Event(), asyncio.Event())

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve both, and return once both were taken away."""
        del stop

        def check(number: int) -> Any:
            partition = _Quiet()
            partition.number = number
            return serve(partition, self.taken[number])

        await asyncio.gather(check(0), check(1))


class _Quiet:
    """A partition without commands."""

    number = 0

    async def read(self, limit: int) -> tuple[()]:
        """Return nothing, after a while."""
        del limit
        await asyncio.sleep(0.005)
        return ()

    async def holds(self, key: str) -> bool:
        """Take every key."""
        del key
        return True

    async def commit(self, records: object, position: int | None) -> None:
        """Nothing comes here."""


def propeller() -> Propeller:
    """Return a propeller with nothing in memory."""
    log = MemoryLog()
    return Propeller(
        kinds=STREAM_KINDS,
        streams=StreamCache(log, STREAM_KINDS, closed_max=10),
        clock=FixedClock(at_us=12 * 3600 * SECOND_US),
        leases=Leases(30),
        timers=Timers(),
        bounds=Bounds(),
    )


async def test_each_partition_has_its_own_state_while_it_is_owned() -> None:
    """What was restored for a partition goes with it; the other's stays."""
    log, restored = TwoPartitions(), list[tuple[int, Propeller]]()

    async def restore(partition: OwnedPartition, engine: Propeller) -> None:
        await asyncio.sleep(0)
        restored.append((partition.number, engine))

    partitions = Partitions(log, propeller, restore)
    running = asyncio.create_task(partitions.run(asyncio.Event()))
    await until(lambda: len(partitions.served) == 2)

    assert dict(restored) == partitions.served
    assert partitions.served[0] is not partitions.served[1]
    log.taken[0].set()
    await until(lambda: set(partitions.served) == {1})
    log.taken[1].set()
    await running
    assert not partitions.served


async def until(holds: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.002)

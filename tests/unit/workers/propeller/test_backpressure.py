"""A propeller beside a projector: never far ahead, never blocking the loop."""

from __future__ import annotations

import asyncio

from schemas import topics
from tests.support.fakes import MemoryLog
from tests.support.harness.propeller_harness import Harness
from workers.propeller.backpressure import ProjectionLagThrottle


class ReadModels:
    """Views that have taken up as many events as they are told."""

    def __init__(self, applied: int = 0) -> None:
        self.applied = applied

    def pace(self, *, polls_max: int = 10_000) -> ProjectionLagThrottle:
        """Return the pace of a propeller that may be ten events ahead."""
        return ProjectionLagThrottle(
            lambda: self.applied, ahead_max=10, polls_max=polls_max
        )


async def test_a_propeller_far_ahead_waits_for_the_projector() -> None:
    """What they had taken up before doesn't count."""
    read_models = ReadModels(applied=500)
    pace = read_models.pace()
    pace.committed += 30
    waiting = asyncio.create_task(pace.wait())
    await asyncio.sleep(0.02)
    read_models.applied += 19
    await asyncio.sleep(0.02)
    was_waiting = not waiting.done()
    read_models.applied += 1

    async with asyncio.timeout(5):
        await waiting
    assert was_waiting


async def test_views_that_are_stuck_stop_nobody() -> None:
    """After some polls the work goes on, and is counted again."""
    pace = ReadModels().pace(polls_max=3)
    pace.committed += 11

    async with asyncio.timeout(5):
        await pace.wait()
    assert pace.ahead == 0
    pace.committed += 10
    async with asyncio.timeout(0.001):
        await pace.wait()


async def test_answers_without_events_are_counted_too() -> None:
    """The projector counts them like events: else the count would diverge."""
    harness = Harness(MemoryLog(poll_s=0.02))
    stream = await harness.create("one")
    for _ in range(5):
        await harness.create("one")
    async with harness.propeller() as partitions:

        async def all_handled() -> bool:
            return partitions.handled == 6

        await harness.until(all_handled)
        pace = partitions.served[0].throttle
        on_events = len(await harness.read(topics.EVENTS))

    assert pace.committed == on_events
    assert on_events > len(await harness.events(stream))


async def test_nobody_waits_where_no_views_are() -> None:
    """A propeller in a process of its own has its own pace."""
    pace = ProjectionLagThrottle(ahead_max=10)
    pace.committed += 1000

    async with asyncio.timeout(0.001):
        await pace.wait()


async def test_others_get_turns_while_many_commands_are_handled() -> None:
    """A full batch isn't one long turn of the loop."""
    harness = Harness(MemoryLog(poll_s=0.02))
    for number in range(200):
        await harness.create(f"one-{number}")
    longest, last = 0, -1

    async def count(handled: asyncio.Event) -> None:
        nonlocal longest, last
        while not handled.is_set():
            await asyncio.sleep(0)
            partitions = harness.partitions
            if partitions is None or not partitions.served:
                continue
            longest = max(longest, partitions.handled - max(last, 0))
            last = partitions.handled

    handled = asyncio.Event()
    counting = asyncio.create_task(count(handled))
    async with harness.propeller() as partitions:

        async def all_handled() -> bool:
            return partitions.handled == 200

        await harness.until(all_handled)
        handled.set()
        await counting

    assert longest <= 20

"""Silence of runners as the loop counts it: by ticks that it sends and reads back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from infra.errors import PermanentError
from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from tests.support.clocks import SteppedClock
from tests.support.failing_logs import BlockableLog
from tests.support.harness.propeller_harness import Harness, stream_of
from workers.propeller.loading.admission import Admission

SECOND_US = 1_000_000
TICKS = 5
WAITING = 401
LOOKS_MAX = 40


class RefusingLog(BlockableLog):
    """A log that can be out of reach, and can't store the events of one stream."""

    def _insert(
        self, records: Sequence[Record], group: str | None, position: int
    ) -> None:
        keys = {r.key for r in records if r.envelope.sequence}
        if not self.is_away and stream_of("bad") in keys:
            raise PermanentError("an event is too large")
        super()._insert(records, group, position)


class BlockableHarness(Harness):
    """A propeller whose registry can be out of reach."""

    gate: asyncio.Event | None = None

    async def admit(
        self, command: c.CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Admit, once the gate is open."""
        if self.gate is not None:
            await self.gate.wait()
        return await super().admit(command, envelope, now_us)


@pytest.fixture
def log() -> RefusingLog:
    """Return an empty log."""
    return RefusingLog(poll_s=0.005)


@pytest.fixture
def harness(log: RefusingLog) -> BlockableHarness:
    """Return what a propeller needs, with stepped time."""
    found = BlockableHarness(log, clock=SteppedClock())
    found.folds, found.runner_timeout_s = True, TICKS
    return found


async def beat(harness: Harness, runner: str = "r") -> None:
    """Send a heartbeat."""
    message = c.Heartbeat(runner=runner, incarnation="i1", occurred_at_us=1)
    await harness.send(f"runner/{runner}", message, reply=False)


async def begin(harness: Harness, runner: str = "r") -> str:
    """Create an execution of which a runner holds the first task."""
    stream = await harness.create("one")
    run = await harness.run_of(stream, "n0")
    report = c.ReportTaskStarted(
        node_id="n0",
        attempt=0,
        dispatch_no=run.dispatch_no,
        runner=runner,
        incarnation="i1",
        started_at_us=1,
    )
    await harness.send(stream, report, reply=False)
    await harness.until_events(stream, ne.TaskStarted)
    return stream


async def pass_seconds(harness: Harness, count: int) -> None:
    """Let seconds pass, each once a tick was counted, or none came for a while."""
    assert isinstance(harness.clock, SteppedClock)
    for _ in range(count):
        before = ticks(harness)
        harness.clock.passed_s += 1
        for _ in range(LOOKS_MAX):
            await asyncio.sleep(0.005)
            if ticks(harness) != before:
                break


def ticks(harness: Harness) -> int:
    """Return how many ticks the owner of the partition has counted."""
    assert harness.partitions is not None
    return sum(p.leases.ticks for p in harness.partitions.served.values())


async def is_lost(harness: Harness, stream: str) -> bool:
    """Return whether the task was dispatched again."""
    return any(isinstance(e, ne.TaskRedispatched) for e in await harness.events(stream))


@pytest.mark.parametrize("level", [1, 2])
async def test_a_silent_runner_is_lost_in_time(
    harness: BlockableHarness, level: int
) -> None:
    """Ticks are sent from level 2 on; before, the owner counts by itself."""
    harness.format_level = level
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        await pass_seconds(harness, TICKS - 1)
        assert not await is_lost(harness, stream)
        await pass_seconds(harness, 3)

        assert await is_lost(harness, stream)
    found = [
        r
        for r in await harness.read(topics.COMMANDS)
        if isinstance(harness.kinds.messages.decode(r.body), c.Tick)
    ]
    assert bool(found) == (level == 2)
    assert len(found) <= TICKS + 3


async def test_a_runner_unknown_to_the_new_owner_is_lost_too(
    harness: BlockableHarness,
) -> None:
    """Its heartbeat was read by one owner, its report by the next; then it died."""
    async with harness.propeller():
        await beat(harness)
        stream = await harness.create("one")
        await harness.run_of(stream, "n0")
    async with harness.propeller():
        await begin(harness)
        await pass_seconds(harness, TICKS + 2)

        assert await is_lost(harness, stream)


async def test_a_restored_lease_is_watched(harness: BlockableHarness) -> None:
    """Its runner may have died with the owner before."""
    async with harness.propeller():
        stream = await begin(harness)
    async with harness.propeller():
        await pass_seconds(harness, TICKS - 1)
        assert not await is_lost(harness, stream)
        await pass_seconds(harness, 3)

        assert await is_lost(harness, stream)


async def test_an_owner_that_was_held_up_takes_nothing(
    harness: BlockableHarness,
) -> None:
    """Heartbeats wait behind commands that wait for the registry, for long."""
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        harness.gate = asyncio.Event()
        for number in range(WAITING):
            await harness.create(f"x{number}")
        for _ in range(6):
            await pass_seconds(harness, TICKS)
            await beat(harness)
        harness.gate.set()
        await pass_seconds(harness, TICKS - 1)
        await harness.until_events(stream_of(f"x{WAITING - 1}"), ne.TaskQueued)

        assert not await is_lost(harness, stream)


@pytest.mark.parametrize("jump_s", [60, 86_400, -60, -86_400])
async def test_a_jump_of_the_clock_takes_nothing(
    harness: BlockableHarness, jump_s: int
) -> None:
    """Forward or back: the time of day says nothing about silence."""
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        harness.clock.now += jump_s * SECOND_US
        await pass_seconds(harness, 2)
        await beat(harness)
        await pass_seconds(harness, 2)

        assert not await is_lost(harness, stream)


@pytest.mark.parametrize("pause_s", [60, 3600])
async def test_a_pause_of_everything_takes_nothing(
    harness: BlockableHarness, pause_s: int
) -> None:
    """A machine that was suspended, or a frozen process, counts one tick for it."""
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        assert isinstance(harness.clock, SteppedClock)
        harness.clock.passed_s += pause_s
        await pass_seconds(harness, 1)
        await beat(harness)
        await pass_seconds(harness, 2)

        assert not await is_lost(harness, stream)


async def test_an_outage_of_the_log_takes_nothing(
    log: RefusingLog, harness: BlockableHarness
) -> None:
    """Nobody can be heard while it lasts, nor can a tick be read back."""
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        log.is_away = True
        await pass_seconds(harness, 4 * TICKS)
        log.is_away = False
        await beat(harness)
        await pass_seconds(harness, 2)

        assert not await is_lost(harness, stream)


async def test_a_forged_tick_counts_for_nothing(harness: BlockableHarness) -> None:
    """Nor does that of an owner before."""
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        for number in range(4 * TICKS):
            tick = c.Tick(owner="another", number=number)
            await harness.send("propeller/0", tick, reply=False)
        await asyncio.sleep(0.1)

        assert not await is_lost(harness, stream)
    assert not await harness.dead_letters()


async def test_without_leases_no_tick_is_sent(harness: BlockableHarness) -> None:
    """An idle engine stays idle."""
    async with harness.propeller():
        await beat(harness)
        await harness.create("one")
        await pass_seconds(harness, TICKS)

    found = await harness.read(topics.COMMANDS)
    assert not [r for r in found if r.envelope.type.endswith("Tick")]


async def test_a_tick_that_a_bad_batch_took_along_is_sent_again(
    harness: BlockableHarness,
) -> None:
    """What the log can't store costs its own stream; the count goes on."""
    async with harness.propeller():
        await beat(harness)
        stream = await begin(harness)
        for _ in range(TICKS + 2):
            await harness.create("bad")
            await pass_seconds(harness, 1)
        await pass_seconds(harness, 1)

        assert await is_lost(harness, stream)
    assert len(await harness.dead_letters()) == TICKS + 2

"""A runner that nobody hears starts nothing new, and reports its leases first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.values import NO_VALUES
from schemas.wire import codec
from tests.support.clocks import SteppedClock, VirtualClock
from tests.support.failing_logs import BlockableLog
from tests.support.harness.runner_harness import Harness, abort, container, record
from workers.plugins.plugin import Started, Succeeded, Work
from workers.runner.liveness import Liveness

SECOND_US = 1_000_000
TIMEOUT_S = 5.0


@pytest.fixture
def log() -> BlockableLog:
    """Return an empty log."""
    return BlockableLog(poll_s=0.05)


@pytest.fixture
def harness(tmp_path: Path, log: BlockableLog) -> Harness:
    """Return a harness with that log, and stepped time."""
    harness = Harness(tmp_path)
    harness.clock = SteppedClock(now=0)
    harness.data, harness.log = log.data, log
    harness.timeout_s = TIMEOUT_S
    return harness


def freeze(harness: Harness) -> None:
    """Let more time pass than a runner may be silent for."""
    assert isinstance(harness.clock, SteppedClock)
    harness.clock.passed_s += TIMEOUT_S + 1


def named(task: d.RunTask, incarnation: str = "i1", dispatch_no: int = 0) -> Any:
    """Return the abort of one dispatch on one incarnation."""
    return d.AbortTask(
        stream=task.stream,
        node_id=task.node_id,
        attempt=task.attempt,
        reason="lost",
        dispatch_no=dispatch_no,
        runner="r",
        incarnation=incarnation,
    )


def test_a_runner_is_heard_for_a_while() -> None:
    """From when an acknowledged heartbeat was sent, not from its acknowledgement."""
    clock = VirtualClock()
    liveness = Liveness(clock=clock, timeout_s=TIMEOUT_S)
    assert not liveness.is_heard
    sent_s, sent_us = clock.monotonic(), clock.now_us()
    clock.advance(2 * SECOND_US)
    liveness.mark_heard(sent_s, sent_us)
    assert liveness.left_s == pytest.approx(3)
    clock.advance(3 * SECOND_US - 1)
    assert liveness.is_heard
    clock.advance(1)

    assert not liveness.is_heard
    assert liveness.left_s == 0


def test_a_machine_that_was_suspended_is_not_heard() -> None:
    """Its monotonic clock may have stood still; the time of day tells."""
    clock = SteppedClock()
    liveness = Liveness(clock=clock, timeout_s=TIMEOUT_S)
    liveness.mark_heard(clock.monotonic(), clock.now_us())
    assert liveness.is_heard
    clock.now += 6 * SECOND_US
    assert not liveness.is_heard
    clock.now -= 3600 * SECOND_US

    assert liveness.is_heard


async def test_who_waits_asks_for_a_heartbeat() -> None:
    """A runner that was frozen needn't wait for the next one in turn."""
    clock = VirtualClock()
    liveness = Liveness(clock=clock, timeout_s=TIMEOUT_S)
    waiting = asyncio.create_task(liveness.wait())
    pausing = asyncio.create_task(liveness.pause(3600))
    async with asyncio.timeout(5):
        await pausing
    assert not waiting.done()
    liveness.mark_heard(clock.monotonic(), clock.now_us())
    async with asyncio.timeout(5):
        await waiting


async def test_the_interval_fits_into_the_timeout() -> None:
    """A timeout that is set shorter than the interval silences nobody."""
    clock = VirtualClock()
    liveness = Liveness(clock=clock, timeout_s=TIMEOUT_S)
    pausing = asyncio.create_task(liveness.pause(3600))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    clock.advance(round(TIMEOUT_S / 2 * SECOND_US))
    async with asyncio.timeout(5):
        await pausing


async def test_an_unheard_runner_starts_nothing_new(
    harness: Harness, log: BlockableLog
) -> None:
    """What runs goes on; what comes starts once a heartbeat is acknowledged."""
    async with harness.runner():
        await harness.send(container("n0"))
        await harness.until(harness.reports)
        log.is_away = True
        freeze(harness)
        log.put(record(container("n1")))
        await asyncio.sleep(0.2)
        assert harness.plugin.calls == [("start", "n0")]
        log.is_away = False
        await harness.until(lambda: ("start", "n1") in harness.plugin.calls)

        assert harness.plugin.calls == [("start", "n0"), ("start", "n1")]


async def test_heard_again_it_reports_its_leases_first(harness: Harness) -> None:
    """Before the heartbeat that lets it start anything new."""
    async with harness.runner():
        await harness.send(container("n0"))
        await harness.until(harness.reports)
        freeze(harness)
        await harness.send(container("n1"))
        await harness.until(lambda: ("start", "n1") in harness.plugin.calls)
        await harness.until(lambda: len(harness.reports(c.ReportTaskStarted)) == 2)

        (lease,) = harness.reports(c.ReportLease)
        assert (lease.node_id, lease.dispatch_no) == ("n0", 0)
        assert (lease.runner, lease.incarnation) == ("r", "i1")
    found = [codec.decode(r.body) for r in harness.on(topics.COMMANDS)]
    at = found.index(lease)
    assert isinstance(found[at + 1], c.Heartbeat)
    assert found.index(harness.reports(c.ReportTaskStarted)[1]) > at


async def test_no_lease_is_reported_in_steady_state(harness: Harness) -> None:
    """Heartbeats in time cost nothing more; nor does an old format level."""
    async with harness.runner(heartbeat_interval_s=0.01):
        await harness.send(container("n0"))
        await harness.until(harness.reports)
        await asyncio.sleep(0.1)
        assert not harness.reports(c.ReportLease)
        harness.format_level = 1
        freeze(harness)
        await asyncio.sleep(0.1)

        assert not harness.reports(c.ReportLease)


async def test_what_waits_for_a_slot_waits_until_the_runner_is_heard(
    harness: Harness, log: BlockableLog
) -> None:
    """A slot that becomes free right after a freeze starts nothing."""
    allowed = asyncio.Event()
    waited: list[str] = []

    class Waiting:
        async def start(self, work: Work) -> Started:
            await allowed.wait()
            waited.append("slot")
            await work.may_start()
            return await harness.plugin.start(work)

        watch, abort = harness.plugin.watch, harness.plugin.abort
        finalize = harness.plugin.finalize

    harness.process = Waiting()
    async with harness.runner():
        await harness.send(container("n0"))
        await asyncio.sleep(0.05)
        log.is_away = True
        freeze(harness)
        allowed.set()
        await harness.until(lambda: waited)
        await asyncio.sleep(0.05)
        assert harness.plugin.calls == []
        log.is_away = False
        await harness.until(lambda: ("start", "n0") in harness.plugin.calls)


async def test_an_abort_stops_the_dispatch_that_it_names(harness: Harness) -> None:
    """Not another dispatch of the attempt, nor that of another incarnation."""
    task = container("n0", dispatch_no=1)
    async with harness.runner():
        await harness.send(task)
        await harness.until(harness.reports)
        await harness.send(named(task), named(task, "i0", 1))
        await asyncio.sleep(0.1)
        assert ("abort", "n0") not in harness.plugin.calls
        await harness.send(named(task, dispatch_no=1))
        await harness.until(lambda: ("finalize", "n0") in harness.plugin.calls)
        await harness.send(container("n0", dispatch_no=2))
        await harness.until(lambda: len(harness.reports(c.ReportTaskStarted)) == 2)

    calls = [call for call, _ in harness.plugin.calls]
    assert calls[:4] == ["start", "abort", "finalize", "start"]


async def test_an_abort_of_a_dispatch_is_no_history_of_the_attempt(
    harness: Harness,
) -> None:
    """A runner that starts later accepts other dispatches of it."""
    task = container("n0", dispatch_no=1)
    await harness.log.open()
    await harness.send(task, named(task), abort(container("n1")))
    async with harness.runner():
        await harness.until(harness.reports)

    assert ("start", "n0") in harness.plugin.calls


async def test_what_runs_can_be_stopped_instead(
    harness: Harness, log: BlockableLog
) -> None:
    """By a setting: it ends as a failure of the system, which is tried again."""
    harness.timeout_s = TIMEOUT_S / 5  # it is waited for: waits are real here
    async with harness.runner(stops_unheard=True):
        await harness.send(container("n0"))
        await harness.until(harness.reports)
        log.is_away = True
        freeze(harness)
        await harness.until(lambda: ("finalize", "n0") in harness.plugin.calls)
        log.is_away = False
        await harness.until(lambda: harness.reports(c.ReportTaskFailed))
        harness.plugin.end("n1").set_result(Succeeded(outputs=NO_VALUES))
        await harness.send(container("n1"))
        await harness.until(lambda: harness.reports(c.ReportTaskSucceeded))

    (failed,) = harness.reports(c.ReportTaskFailed)
    assert failed.recoverable
    assert (failed.failure.code, failed.failure.kind) == ("RunnerUnheard", "SYSTEM")
    assert ("abort", "n0") in harness.plugin.calls

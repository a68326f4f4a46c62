"""Partitions that move between runners: what waits and what runs is in one place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.eventlog.contract import Positions, Received, Release
from schemas.messages import commands as c
from schemas.values import NO_VALUES
from tests.support.fakes import MemoryConsumer, MemoryLog
from tests.support.harness.runner_harness import Harness, container, echo_task
from workers.plugins.plugin import Started, Succeeded, Work

SOON_S = 0.15


class GroupLog(MemoryLog):
    """A log whose newest member of a group has the partition; others release it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.members: list[Member] = []

    @asynccontextmanager
    async def consume(
        self, group: str, topic: str, release: Release | None = None
    ) -> AsyncIterator[Member]:
        """Join the group."""
        for member in self.members[-1:]:
            await member.release()
        me = Member(self, group, (topic,), release)
        self.members.append(me)
        try:
            yield me
        finally:
            self.members.remove(me)


class Member(MemoryConsumer):
    """A member of a group."""

    generation = 1

    def __init__(
        self,
        log: GroupLog,
        group: str,
        topics: Sequence[str],
        release: Release | None,
    ) -> None:
        super().__init__(log, group, topics)
        self.all, self._release_it = log.members, release
        self.restart = lambda: MemoryConsumer.__init__(self, log, group, topics)

    async def release(self) -> None:
        """Let the reader release the partition."""
        self.generation += 1
        if self._release_it is not None:
            await self._release_it(self)

    async def rebalance(self) -> None:
        """Release the partition, and get it again from the committed position on."""
        await self.release()
        self.restart()
        self.generation += 1

    async def read(self, limit: int) -> Sequence[Received]:
        """Read, if this is the newest member."""
        if self.all[-1] is not self:
            await asyncio.sleep(0.02)
            return ()
        return await super().read(limit)

    async def commit(self, positions: Positions) -> None:
        """Commit, if this is the newest member."""
        if self.all[-1] is self:
            await super().commit(positions)


@pytest.fixture
def log() -> GroupLog:
    """Return an empty log with groups."""
    return GroupLog(poll_s=0.02)


def harness_on(log: GroupLog, folder: Path) -> Harness:
    """Return what a runner with one slot needs."""
    harness = Harness(folder)
    harness.data, harness.log = log.data, log
    harness.plugin.slots = asyncio.Semaphore(1)
    return harness


def started(*harnesses: Harness) -> list[str]:
    """Return the nodes that were started, in whatever place."""
    return [node for h in harnesses for call, node in h.plugin.calls if call == "start"]


async def work(harness: Harness) -> None:
    """End what has started after a while, one after the other."""
    done: set[str] = set()
    while True:
        for node in started(harness):
            if node not in done:
                done.add(node)
                await asyncio.sleep(SOON_S)
                harness.plugin.end(node).set_result(Succeeded(outputs=NO_VALUES))
                harness.plugin.slots.release()
        await asyncio.sleep(0.005)


async def test_a_joining_runner_doubles_nothing(tmp_path: Path, log: GroupLog) -> None:
    """What waits goes to it; what runs stays where it is."""
    a, b = harness_on(log, tmp_path / "a"), harness_on(log, tmp_path / "b")
    names = [f"n{number}" for number in range(6)]
    workers = [asyncio.create_task(work(h)) for h in (a, b)]
    async with a.runner("iA", name="A"):
        await a.send(*[container(name) for name in names])
        await a.until(lambda: len(started(a)) == 2)
        async with b.runner("iB", name="B"):
            await a.until(lambda: len(a.reports(c.ReportTaskSucceeded)) == len(names))
    for worker in workers:
        worker.cancel()

    assert sorted(started(a, b)) == names
    assert started(a) == names[:2]
    ended = a.reports(c.ReportTaskSucceeded)
    assert {r.node_id for r in ended if r.runner == "A"} == set(names[:2])


async def test_what_was_released_comes_again_to_the_same_runner(
    tmp_path: Path, log: GroupLog
) -> None:
    """A rebalance after which nothing has moved neither loses nor doubles work."""
    a = harness_on(log, tmp_path)
    names = [f"n{number}" for number in range(4)]
    worker = asyncio.create_task(work(a))
    async with a.runner("iA", name="A"):
        await a.send(*[container(name) for name in names])
        await a.until(lambda: len(started(a)) == 1)
        for _ in range(3):
            await log.members[0].rebalance()
            await asyncio.sleep(0.05)
        await a.until(lambda: len(a.reports(c.ReportTaskSucceeded)) == len(names))
        await a.until(a.has_committed_all)
    worker.cancel()

    assert sorted(started(a)) == names


async def test_the_start_is_reported_before_the_position_is_committed(
    tmp_path: Path, log: GroupLog
) -> None:
    """A task that might have ended soon enough to need no report of its start."""
    a = harness_on(log, tmp_path)
    a.report_delay_s = 60.0
    async with a.runner("iA", name="A"):
        await a.send(container("n0"), container("n1"))
        await a.until(lambda: started(a))
        await asyncio.sleep(0.05)
        assert not a.reports()
        await log.members[0].release()

        assert [r.node_id for r in a.reports(c.ReportTaskStarted)] == ["n0"]
        assert not a.has_committed_all()
        assert a.data.positions["runner"] > 0
        assert ("abort", "n1") in a.plugin.calls
        assert ("abort", "n0") not in a.plugin.calls


async def test_work_that_is_being_started_is_stopped(
    tmp_path: Path, log: GroupLog
) -> None:
    """A plugin that is on its way to start it is told to abort it."""
    a = harness_on(log, tmp_path)
    entered = asyncio.Event()

    class Slow:
        async def start(self, work: Work) -> Started:
            entered.set()
            await asyncio.sleep(60)
            return Started()

        watch, abort, finalize = a.plugin.watch, a.plugin.abort, a.plugin.finalize

    a.process = Slow()
    async with a.runner("iA", name="A"):
        await a.send(container("n0"))
        async with asyncio.timeout(5):
            await entered.wait()
        await log.members[0].release()

        assert a.plugin.calls == [("abort", "n0"), ("finalize", "n0")]
        assert not a.reports()


async def test_what_is_answered_at_once_is_answered_before(
    tmp_path: Path, log: GroupLog
) -> None:
    """Echoed tasks and the like are on the log, or come again."""
    a = harness_on(log, tmp_path)
    async with a.runner("iA", name="A", echoes=True):
        await a.send(*[echo_task(f"n{number}") for number in range(5)])
        await a.until(a.reports)
        await log.members[0].release()

        assert a.has_committed_all()
    assert len(a.reports()) == 5

"""Partitions of dispatches that move between runners, on a real broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.eventlog.contract import Consumer, Received
from infra.setting_sections.processes import RunnerSettings
from schemas import topics as t
from schemas.messages import commands as c
from schemas.values import NO_VALUES
from schemas.wire import codec
from tests.contract.conftest import KafkaKind
from tests.support.harness.runner_harness import Harness, container, record
from workers.plugins.plugin import Result, Started, Succeeded, Work
from workers.plugins.process.slots import Slots
from workers.runner.cache_lookup import CacheLookups
from workers.runner.loop import Runner

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SOON_S = 60
TASKS = 24
TASK_S = 0.5


class Tasks:
    """A plugin with two slots; tasks take a while, wherever they run."""

    def __init__(self, started: Counter[str]) -> None:
        self.started, self._slots = started, Slots(2)
        self._running: set[str] = set()

    async def start(self, work: Work) -> Started:
        await self._slots.acquire(work.dispatch.stream)
        self._running.add(work.key)
        self.started[work.dispatch.node_id] += 1
        return Started()

    async def watch(self, work: Work) -> Result:
        await asyncio.sleep(TASK_S)
        return Succeeded(outputs=NO_VALUES)

    async def abort(self, work: Work) -> None:
        """Nothing goes on without being watched."""

    async def finalize(self, work: Work) -> None:
        if work.key in self._running:
            self._running.remove(work.key)
            self._slots.release()


@asynccontextmanager
async def a_runner(
    kafka: KafkaKind, harness: Harness, name: str, started: Counter[str]
) -> AsyncIterator[None]:
    """Run a runner of a name, meanwhile."""
    runner = Runner(
        log=await kafka.open(),
        blobs=harness.blobs,
        clock=harness.clock,
        settings=RunnerSettings(name=name),
        incarnation=f"i-{name}",
        process=Tasks(started),
        inline_limit=100,
        report_delay_s=0.05,
        cache_lookups=CacheLookups(
            catalog=harness.catalog, blobs=harness.blobs, poll_s=1
        ),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def reports(log: Any) -> list[Any]:
    """Return what runners have reported."""
    found = [
        codec.decode(received.body)
        async for batch in log.read_to_end(t.COMMANDS, {}, 1000)
        for received in batch
    ]
    return [message for message in found if not isinstance(message, c.Heartbeat)]


async def test_a_joining_runner_doubles_nothing(
    kafka: KafkaKind, tmp_path: Path
) -> None:
    """What waits goes to it, what runs stays; each task is started once."""
    log, harness, started = await kafka.open(), Harness(tmp_path), Counter[str]()
    await log.append([record(container(f"n{n}")) for n in range(TASKS)])
    ended: list[Any] = []
    async with a_runner(kafka, harness, "A", started):
        async with asyncio.timeout(SOON_S):
            while len(started) < 4:
                await asyncio.sleep(0.02)
        async with a_runner(kafka, harness, "B", started), asyncio.timeout(SOON_S):
            while len(ended) < TASKS:
                await asyncio.sleep(0.2)
                found = await reports(log)
                ended = [r for r in found if isinstance(r, c.ReportTaskSucceeded)]

    assert set(started.values()) == {1}, started
    assert len(started) == TASKS
    assert {r.runner for r in ended} == {"A", "B"}


async def test_a_release_comes_first_and_its_positions_count(kafka: KafkaKind) -> None:
    """The next member reads from what was committed while partitions were released."""
    first, second = await kafka.open(), await kafka.open()
    messages = [record(container(f"n{n}")) for n in range(TASKS)]
    await first.append(messages)
    read: list[Received] = []
    released: list[int] = []

    async def release(consumer: Consumer) -> None:
        """Keep half of what was read on each partition."""
        released.append(len(read))
        by_partition: dict[int, list[int]] = {}
        for received in read:
            by_partition.setdefault(received.partition, []).append(received.position)
        halves = {n: found[len(found) // 2] for n, found in by_partition.items()}
        await consumer.commit(halves)
        kept.update(halves)

    kept: dict[int, int] = {}
    again: list[Received] = []
    async with (
        asyncio.timeout(2 * SOON_S),
        first.consume("g", t.DISPATCHES, release) as one,
    ):
        while len(read) < TASKS:
            read += await one.read(100)
        generation = one.generation
        async with second.consume("g", t.DISPATCHES) as other:

            async def keep_up() -> None:
                while True:
                    again.extend(await one.read(100))

            keeping = asyncio.create_task(keep_up())
            expected = {(r.partition, r.position) for r in read}
            while not released:
                again.extend(await other.read(100))
            expected -= {at for at in expected if at[1] <= kept[at[0]]}
            while len(again) < len(expected):
                again.extend(await other.read(100))
            keeping.cancel()
            assert one.generation > generation + 1

    assert released == [TASKS]
    assert {(r.partition, r.position) for r in again} == expected


async def test_a_member_is_confirmed(kafka: KafkaKind) -> None:
    """It has heard from the group lately; asking again is a matter of the broker."""
    log = await kafka.open()
    await log.append([record(container("n0"))])
    async with log.consume("g", t.DISPATCHES) as consumer:
        async with asyncio.timeout(SOON_S):
            while not (found := await consumer.read(10)):
                pass
            await consumer.confirm()
            before = await log.positions("g", t.DISPATCHES)
            consumer._confirmed_s -= 3600
            await consumer.confirm()
    assert before[found[0].partition] == found[0].position - 1

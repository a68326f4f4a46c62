"""A runner with a log in memory, blobs, a catalog and a scripted plugin."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyteidl.core import types_pb2

from infra.blobs.files import FileBlobs
from infra.eventlog.contract import Received, Record
from infra.setting_sections.processes import RunnerSettings
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id
from schemas.levels import FORMAT_LEVEL
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.wire import codec
from tests.support.catalogs import MemoryCatalog
from tests.support.clocks import TickingClock
from tests.support.fakes import MemoryData, MemoryLog
from tests.support.flytekit import tasks as t
from workers.plugins.plugin import Plugin, Result, Started, Work
from workers.runner.cache_lookup import CacheLookups
from workers.runner.loop import Runner

NUMBERS = itertools.count(1)


@dataclass
class ScriptedPlugin:
    """A plugin whose work ends when the test sets its result."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(100))
    calls: list[tuple[str, str]] = field(default_factory=list)
    ends: dict[str, asyncio.Future[Result]] = field(default_factory=dict)
    error: Exception | None = None

    def end(self, node: str) -> asyncio.Future[Result]:
        loop = asyncio.get_running_loop()
        return self.ends.setdefault(node, loop.create_future())

    async def start(self, work: Work) -> Started:
        await self.slots.acquire()
        self.calls.append(("start", work.dispatch.node_id))
        if self.error is not None:
            raise self.error
        return Started()

    async def watch(self, work: Work) -> Result:
        return await asyncio.shield(self.end(work.dispatch.node_id))

    async def abort(self, work: Work) -> None:
        self.calls.append(("abort", work.dispatch.node_id))

    async def finalize(self, work: Work) -> None:
        self.calls.append(("finalize", work.dispatch.node_id))


class Harness:
    """What a runner needs; it outlives the runner."""

    def __init__(self, folder: Path) -> None:
        self.blobs = FileBlobs(folder)
        self.data = MemoryData()
        self.plugin = ScriptedPlugin()
        self.catalog = MemoryCatalog()
        self.clock = TickingClock(now=0)
        self.log = MemoryLog(self.data, poll_s=0.05)
        self.process: Plugin = self.plugin
        self.timeout_s = 30.0
        self.report_delay_s = 0.05
        self.format_level = FORMAT_LEVEL

    @asynccontextmanager
    async def runner(
        self, incarnation: str = "i1", *, echoes: bool = False, **settings: Any
    ) -> AsyncIterator[Runner]:
        self.data.holder = None
        await self.log.open()
        runner = Runner(
            log=self.log,
            blobs=self.blobs,
            clock=self.clock,
            settings=RunnerSettings(
                **{"name": "r", "drain_timeout_s": 0.1, **settings}
            ),
            incarnation=incarnation,
            process=None if echoes else self.process,
            inline_limit=100,
            report_delay_s=self.report_delay_s,
            cache_lookups=CacheLookups(
                catalog=self.catalog, blobs=self.blobs, poll_s=0.02
            ),
            timeout_s=self.timeout_s,
            format_level=lambda: self.format_level,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(runner.run(stop))
        try:
            yield runner
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await running

    async def send(self, *messages: d.Dispatch) -> None:
        """Append dispatches or aborts, as the propeller does."""
        await self.log.append([record(message) for message in messages])

    def reports(self, kind: type = c.Command) -> list[Any]:
        """Return what runners reported, without heartbeats."""
        found = [codec.decode(r.body) for r in self.on(topics.COMMANDS)]
        return [r for r in found if isinstance(r, kind) and type(r) is not c.Heartbeat]

    def on(self, topic: str) -> list[Received]:
        return [r for r in self.data.records if r.topic == topic]

    def has_committed_all(self) -> bool:
        """Return whether the position is past every dispatch."""
        last = max(r.position for r in self.on(topics.DISPATCHES))
        return self.data.positions.get(topics.RUNNER_GROUP, 0) >= last

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)


def record(message: d.Dispatch) -> Record:
    """Return the record of a dispatch or an abort."""
    key = attempt_id(message.stream, message.node_id, message.attempt)
    is_abort = isinstance(message, d.AbortTask)
    return Record(
        topic=topics.ABORTS if is_abort else topics.DISPATCHES,
        key=key,
        envelope=Envelope(
            id=f"{key}/{next(NUMBERS)}",
            type=codec.type_name(message),
            stream=message.stream,
        ),
        body=codec.encode(message),
    )


def container(node: str = "n0", **more: Any) -> d.RunTask:
    """Return a dispatch for the plugin."""
    return t.dispatch(t.container_task(["true"]), node, **more)


def echo_task(node: str = "n0", **more: Any) -> d.RunTask:
    """Return a dispatch of an echo task from `a` to `b`."""
    integer = {"a": types_pb2.INTEGER}, {"b": types_pb2.INTEGER}
    return t.dispatch(t.container_task([], *integer, kind="echo"), node, **more)


def abort(task: d.RunTask) -> d.AbortTask:
    """Return the abort of a dispatch's attempt."""
    return d.AbortTask(
        stream=task.stream, node_id=task.node_id, attempt=task.attempt, reason="enough"
    )

"""A propeller on a log of any kind: commands in, events and dead letters out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from domain.execution.context import Limits
from domain.graph import Definition
from domain.snapshots import ChunkLimits
from infra.eventlog.contract import Log, OwnedPartition, Received, Record
from infra.held_messages import HeldMessages
from infra.newer_messages import NOTHING_NEWER, NewerMessages
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef, execution_stream
from schemas.levels import FORMAT_LEVEL
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages.dead_letters import DeadLetter
from tests.support.clocks import TickingClock
from tests.support.engine import CREATE, created
from tests.support.graphs import definition, task_node, task_template
from workers.propeller import restore as restoring
from workers.propeller.kinds.executions import EXECUTIONS
from workers.propeller.leases import Leases
from workers.propeller.loading.admission import Admission
from workers.propeller.loading.execution_loader import ExecutionLoader
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.loop import Bounds, Propeller
from workers.propeller.partitions import Partitions
from workers.propeller.snapshots import Cadence, Snapshots
from workers.propeller.stream_kinds import STREAM_KINDS, StreamKinds

SOON_S = 30


def chain() -> Definition:
    """Return a workflow of two tasks, one after the other."""
    nodes = [task_node("n0"), task_node("n1", "n0")]
    return definition(nodes, "n1", tasks=[task_template()])


def stream_of(name: str) -> str:
    """Return the stream of an execution in p/d."""
    return execution_stream(ExecutionRef(project="p", domain="d", name=name))


@dataclass(slots=True)
class Harness:
    """What a propeller needs, on a log; whatever is created is the same chain.

    If it `folds`, partitions are taken up as roles do it.
    """

    log: Log
    clock: TickingClock = field(default_factory=TickingClock)
    partitions: Partitions | None = None
    running: asyncio.Task[None] | None = None
    numbers: int = 0
    closed_max: int = 100
    interval_s: float = 3600.0
    shutdown_timeout_s: float = 2.0
    chunk_limits: ChunkLimits = field(default_factory=ChunkLimits)
    folds: bool = False
    format_level: int = FORMAT_LEVEL
    bounds: Bounds = field(default_factory=lambda: Bounds(retry_s=0.01))
    kinds: StreamKinds = STREAM_KINDS
    runner_timeout_s: float = 10**6
    newer: NewerMessages = NOTHING_NEWER

    def loading_kinds(self) -> StreamKinds:
        """Return the kinds, with a loader of executions."""
        loader = ExecutionLoader(
            log=self.log, definitions=self, admission=self, limits=Limits()
        )
        return self.kinds.with_loaders({EXECUTIONS.prefix: loader})

    async def admit(
        self, command: c.CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Admit everything, but for what is called 'boom'."""
        if command.name == "boom":
            raise RuntimeError("the loader broke")
        first = replace(
            created(7),
            occurred_at_us=now_us,
            execution=ExecutionRef(project="p", domain="d", name=command.name),
            created_by=envelope.id,
        )
        return Admission(first, chain())

    async def load(self, _blob: object) -> Definition:
        """Return the graph of every execution."""
        return chain()

    def _make(self) -> Propeller:
        return Propeller(
            kinds=(kinds := self.loading_kinds()),
            streams=StreamCache(self.log, kinds, closed_max=self.closed_max),
            clock=self.clock,
            leases=Leases(self.runner_timeout_s),
            bounds=self.bounds,
            format_level=lambda: self.format_level,
            held=HeldMessages(newer=self.newer, check_s=0.05),
            snapshots=Snapshots(
                Cadence(
                    interval_s=self.interval_s,
                    chunk_limits=self.chunk_limits,
                    shutdown_timeout_s=self.shutdown_timeout_s,
                ),
                self.clock,
            ),
        )

    @asynccontextmanager
    async def propeller(self) -> AsyncIterator[Partitions]:
        """Run propellers with nothing in memory, meanwhile."""

        async def restore(partition: OwnedPartition, propeller: Propeller) -> None:
            if self.folds:
                await restoring.restore(self.log, partition, propeller)
                return
            streams = {r.envelope.stream for r in await self.read(topics.EVENTS)}
            await propeller.restore(sorted(streams))

        stop = asyncio.Event()
        self.partitions = Partitions(self.log, self._make, restore)
        self.running = asyncio.create_task(self.partitions.run(stop))
        try:
            yield self.partitions
        finally:
            stop.set()
            await self.running

    async def send(self, stream: str, command: Any, **more: Any) -> str:
        """Append a command; `body`, `key` and fields of the envelope may be others."""
        self.numbers += 1
        envelope = {
            "id": f"{stream}/c{self.numbers}",
            "type": self.kinds.messages.type_name(command),
            "stream": stream,
            "reply": True,
        } | {k: v for k, v in more.items() if k in Envelope.__struct_fields__}
        record = Record(
            topic=topics.COMMANDS,
            key=more.get("key", stream),
            envelope=Envelope(**envelope),
            body=more.get("body") or self.kinds.messages.encode(command),
            partition=0,
        )
        await self.log.append([record])
        return str(envelope["id"])

    async def create(self, name: str, **more: Any) -> str:
        """Ask for an execution; return its stream."""
        stream = stream_of(name)
        await self.send(stream, replace(CREATE, name=name), **more)
        return stream

    async def read(self, topic: str) -> list[Received]:
        """Return what is on a topic now."""
        return [r async for b in self.log.read_to_end(topic, {}, 100) for r in b]

    async def events(self, stream: str) -> list[Any]:
        """Return the events of a stream."""
        return [
            self.kinds.messages.decode(r.body) for r in await self.log.stream(stream)
        ]

    async def answers(self) -> dict[str, Any]:
        """Return what became of commands without events, by their ids."""
        found = [r for r in await self.read(topics.EVENTS) if not r.envelope.sequence]
        return {r.envelope.causation: self.kinds.messages.decode(r.body) for r in found}

    async def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        found = [
            self.kinds.messages.decode(r.body)
            for r in await self.read(topics.DEAD_LETTERS)
        ]
        return [
            dead_letter for dead_letter in found if isinstance(dead_letter, DeadLetter)
        ]

    async def run_of(self, stream: str, node_id: str) -> d.RunTask:
        """Return a node's dispatch, once it is there."""
        found: list[d.RunTask] = []

        async def dispatched() -> bool:
            for received in await self.read(topics.DISPATCHES):
                task = self.kinds.messages.decode(received.body)
                if (task.stream, task.node_id) == (stream, node_id):
                    found.append(task)
            return bool(found)

        await self.until(dispatched)
        return found[-1]

    async def until(self, holds: Callable[[], Awaitable[object]]) -> None:
        """Wait until something is so; ends by the propeller's error if that ends."""
        async with asyncio.timeout(SOON_S):
            while not await holds():
                if self.running is not None and self.running.done():
                    await self.running
                await asyncio.sleep(0.02)

    async def until_events(self, stream: str, kind: type) -> None:
        """Wait until a stream has an event of a kind."""

        async def there() -> bool:
            return any(isinstance(f, kind) for f in await self.events(stream))

        await self.until(there)

    async def until_dead_letters(self, count: int) -> list[DeadLetter]:
        """Wait until there are so many dead letters, and return them."""

        async def there() -> bool:
            return len(await self.dead_letters()) >= count

        await self.until(there)
        return await self.dead_letters()

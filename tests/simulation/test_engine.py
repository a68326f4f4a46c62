"""Propeller and runner crash at any await; the log they leave is consistent."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from domain.execution.context import Limits
from domain.execution.decide import execution as decider
from domain.execution.state.state import Execution
from domain.graph import Definition
from domain.snapshots import ChunkLimits
from infra.blobs.files import FileBlobs
from infra.errors import TransientError
from infra.eventlog.contract import OwnedPartition, Record
from infra.setting_sections.processes import RunnerSettings
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import EntityRef, ExecutionRef, execution_stream
from schemas.messages.commands import CreateExecution
from schemas.messages.node_events import CachePopulated
from schemas.phases import EXECUTION_MOVES, NODE_MOVES, NodePhase
from schemas.values import Blob
from schemas.wire import codec
from tests.simulation.seeds import seeds
from tests.support.catalogs import EventCatalog
from tests.support.clocks import VirtualClock
from tests.support.engine import created_by
from tests.support.fakes import MemoryData, MemoryLog
from tests.support.graphs import (
    array_node,
    array_of,
    branch_node,
    cached_template,
    definition,
    gate_node,
    launch_plan_node,
    task_node,
    task_template,
    workflow,
    workflow_node,
)
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
from workers.runner.cache_lookup import CacheLookups
from workers.runner.loop import Runner

COUNT, CRASHES, ROUNDS_MAX = 4, 12, 200
MAPPED = 2
ALL = COUNT * (2 + MAPPED)  # with a child of n2, and of each element of m2
SEEDS = seeds(12)
TICKS_US = (100, 1_000, 10_000)
"""How fast time passes beside the work, in an incarnation."""


class World:
    """What outlives a crash: the log's data, the blobs, the time."""

    def __init__(
        self, seed: int, folder: Path, kinds: StreamKinds = STREAM_KINDS
    ) -> None:
        self.draw = random.Random(seed)
        self.data = MemoryData()
        self.catalog = EventCatalog(self.data, kinds.messages)
        self.blobs = FileBlobs(folder)
        self.clock = VirtualClock()
        self.parent, self.child = _parent(), _child()
        self.incarnations = 0
        self.takes_snapshots = bool(seed % 3)
        self.admissions: type[Admissions] = Admissions
        self.limits = Limits()
        self.kinds = kinds

    def definition(self, name: str) -> Definition:
        """Return the graph of an execution: children are those with long names."""
        return self.child if "-n" in name else self.parent


def _parent() -> Definition:
    inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
    nodes = [
        task_node("n0"),
        workflow_node("n1", "n0"),
        launch_plan_node("n2", "n0"),
        branch_node("n3", "n1", task_node("n3-a", "n2"), task_node("n3-b", "n2")),
        *[task_node(f"x{i}", "n3") for i in range(6)],
        array_of("m0", ["n0"] * 5, task="t", parallelism=2),
        array_node("m1", "m0", task="t"),
        array_of("m2", ["n0"] * MAPPED, launch_plan="lp", parallelism=1),
        gate_node("g0", "n0"),
        task_node("n4", *[f"x{i}" for i in range(6)], after=["g0", "m1", "m2"]),
    ]
    return definition(nodes, "n4", subs=[inner], tasks=[task_template(retries=1)])


def _child() -> Definition:
    tasks = [cached_template(cache_serializable=True, retries=1)]
    return definition([task_node("n0"), task_node("n1", "n0")], "n1", tasks=tasks)


class Admissions:
    """Admits everything."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Return the first event of the execution that is asked for."""
        await asyncio.sleep(0)
        first = replace(created_by(command, envelope, now_us), max_parallelism=3)
        return Admission(first, self.world.definition(command.name))


class Definitions:
    """Finds a graph by what the first event says."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def load(self, blob: Blob) -> Definition:
        """Return the graph of an execution."""
        return self.world.definition(blob.uri)


class FlakyLog(MemoryLog):
    """A log whose answers get lost now and then, after or before the deed."""

    def __init__(self, world: World) -> None:
        super().__init__(world.data, clock=world.clock)
        self.draw = world.draw

    async def append(self, records: Any) -> None:
        """Append, sometimes twice."""
        await super().append(records)
        if self.draw.random() < 0.1:
            await super().append(records)


def propeller(world: World, log: MemoryLog) -> Propeller:
    """Return a propeller with nothing in memory."""
    loader = ExecutionLoader(
        log=log,
        definitions=Definitions(world),
        admission=world.admissions(world),
        limits=world.limits,
    )
    kinds = world.kinds.with_loaders({EXECUTIONS.prefix: loader})
    return Propeller(
        kinds=kinds,
        streams=StreamCache(log, kinds, closed_max=100),
        clock=world.clock,
        leases=Leases(30),
        bounds=Bounds(commands_max=world.draw.randint(1, 8)),
        snapshots=Snapshots(
            Cadence(
                interval_s=0.001 if world.takes_snapshots else 3600.0,
                commit_bytes=world.draw.choice([1, 1000, 100_000]),
                chunk_limits=ChunkLimits(items_max=world.draw.randint(1, 5)),
            ),
            world.clock,
        ),
    )


def runner(world: World, log: MemoryLog) -> Runner:
    """Return a new incarnation of the runner."""
    world.incarnations += 1
    return Runner(
        log=log,
        blobs=world.blobs,
        clock=world.clock,
        settings=RunnerSettings(name="r"),
        incarnation=f"i{world.incarnations}",
        process=None,
        inline_limit=16384,
        report_delay_s=0.1,
        cache_lookups=CacheLookups(
            catalog=world.catalog, blobs=world.blobs, poll_s=0.5, clock=world.clock
        ),
    )


def open_streams(world: World) -> list[str]:
    """Return streams that have events; ended ones restore to a marker."""
    found = {
        r.envelope.stream
        for r in world.data.records
        if r.topic == topics.EVENTS and r.envelope.sequence
    }
    return sorted(found)


async def live(world: World, steps: int) -> None:
    """Run one incarnation of everything, and crash after some turns of the loop."""
    log = FlakyLog(world)
    await log.open()
    running, stop = runner(world, log), asyncio.Event()

    async def restore(partition: OwnedPartition, engine: Propeller) -> None:
        if world.takes_snapshots:
            await restoring.restore(log, partition, engine)
        else:
            await engine.restore(open_streams(world))

    engine = Partitions(log, lambda: propeller(world, log), restore, world.clock)
    tasks = [
        asyncio.create_task(engine.run(stop)),
        asyncio.create_task(running.run(stop)),
    ]
    tick_us = world.draw.choice(TICKS_US)
    for _ in range(steps):
        await asyncio.sleep(0)
        world.clock.advance(tick_us)
        if any(task.done() for task in tasks):
            break
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await log.close()
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, TransientError):
            raise result


async def create(world: World, name: str) -> None:
    """Create an execution, as a gateway does."""
    log = MemoryLog(world.data)
    await log.open()
    ref = ExecutionRef(project="p", domain="d", name=name)
    stream = execution_stream(ref)
    plan = EntityRef(
        kind="LAUNCH_PLAN", project="p", domain="d", name="lp", version="v"
    )
    command = CreateExecution(project="p", domain="d", name=name, launch_plan=plan)
    envelope = Envelope(
        id=f"{stream}/create",
        type=codec.type_name(command),
        stream=stream,
        reply=True,
    )
    record = Record(
        topic=topics.COMMANDS, key=stream, envelope=envelope, body=codec.encode(command)
    )
    await log.append([record])
    await log.close()


def check(world: World) -> Counter[str]:
    """Check the log from outside; return how the executions ended."""
    ends: Counter[str] = Counter()
    streams: dict[str, list[Any]] = {}
    for record in world.data.records:
        if record.topic == topics.EVENTS and record.envelope.sequence:
            streams.setdefault(record.envelope.stream, []).append(record)
    for records in streams.values():
        sequences = [r.envelope.sequence for r in records]
        assert sequences == list(range(1, len(records) + 1))
        state = Execution()
        for record in records:
            before, state = state, decider.evolve(state, codec.decode(record.body))
            _check_moves(before, state)
        ends[state.phase.value] += 1
        if state.is_terminal:
            assert not state.active
    return ends


def _kept(world: World) -> int:
    """Return how often the outputs of equal nodes were made, at most."""
    events = [
        codec.decode(r.body)
        for r in world.data.records
        if r.topic == topics.EVENTS and r.envelope.sequence
    ]
    return max(Counter(f.key for f in events if isinstance(f, CachePopulated)).values())


def _check_moves(before: Execution, after: Execution) -> None:
    if before.phase is not after.phase:
        assert after.phase in EXECUTION_MOVES[before.phase]
    for node_id, node in after.nodes.items():
        old = before.nodes.get(node_id)
        phase = old.phase if old else NodePhase.NOT_YET_STARTED
        assert node.phase is phase or node.phase in NODE_MOVES[phase]


async def crash_until_all_ended(world: World) -> None:
    """Create executions, crash now and then, and go on until every one has ended."""
    for number in range(COUNT):
        await create(world, f"e{number}")
    for _ in range(CRASHES):
        await live(world, world.draw.randint(1, 120))
        check(world)
    for _ in range(ROUNDS_MAX):
        await live(world, 3000)
        if check(world) == {"SUCCEEDED": ALL}:
            break


@pytest.mark.parametrize("seed", SEEDS)
async def test_crashes_lose_and_double_nothing(seed: int, tmp_path: Path) -> None:
    """Whatever moment the engine dies at, it goes on, and every execution ends once."""
    world = World(seed, tmp_path)
    await crash_until_all_ended(world)

    assert check(world) == {"SUCCEEDED": ALL}, f"seed {seed}"
    assert _kept(world) == 1, "equal tasks that run one at a time run once"

"""The time of day is set forward and back: durations stay what they are."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from flyteidl.admin import execution_pb2
from msgspec.structs import replace

from domain.annotations import RETRY_BACKOFF, TIMEOUT
from domain.graph import Definition
from infra.eventlog.contract import OwnedPartition, Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.dispatches import RunTask
from schemas.wire import codec
from tests.simulation.seeds import seeds
from tests.simulation.test_engine import Admissions, World, check, create, propeller
from tests.support.clocks import VirtualClock
from tests.support.engine import start
from tests.support.fakes import MemoryLog
from tests.support.graphs import (
    definition,
    gate_node,
    task_node,
    task_template,
    workflow,
    workflow_node,
)
from workers.propeller import restore as restoring
from workers.propeller.loading.admission import Admission
from workers.propeller.loop import Propeller
from workers.propeller.partitions import Partitions

SECOND_US = 1_000_000
MINUTE_US, DAY_US = 60 * SECOND_US, 86_400 * SECOND_US
JUMPS_US = (MINUTE_US, -MINUTE_US, DAY_US, -DAY_US)
SEEDS = seeds(12)
TICK_US = 20_000
LATE_US = 15 * TICK_US
"""How much later than due something happens: work takes turns of the loop."""
CHECK_EVERY = 25
STEPS_MAX = 3_000
ALL = ("sleeps", "attempts", "inside", "whole", "queued")
BEGUN = ("attempts", "inside")
ENDS = {"SUCCEEDED": 1, "FAILED": 3, "TIMED_OUT": 1}


def graph_of(name: str) -> Definition:
    """Return the graph of an execution: each has timers of other kinds."""
    template = task_template(retries=9)
    match name:
        case "sleeps":
            return definition([gate_node("g0"), gate_node("g1", "g0")], "")
        case "attempts":
            template.metadata.timeout.FromSeconds(3)
            return definition([task_node("n0")], "n0", tasks=[template])
        case "inside":
            node = workflow_node("n0")
            node.metadata.timeout.FromSeconds(7)
            inner = workflow("sub", [task_node("n0"), task_node("n1", "n0")], "n1")
            return definition([node], "n0", subs=[inner], tasks=[template])
        case "whole":
            return definition([gate_node("g0", signal="never")], "")
        case _:
            return definition([task_node("n0")], "n0")


def spec_of(name: str) -> bytes:
    """Return the spec of an execution: its time limits, and pauses of attempts."""
    spec = execution_pb2.ExecutionSpec()
    spec.annotations.values[RETRY_BACKOFF] = "200ms"
    if name == "whole":
        spec.annotations.values[TIMEOUT] = "8s"
    if name == "queued":
        spec.quality_of_service.spec.queueing_budget.FromSeconds(4)
    return spec.SerializeToString(deterministic=True)


class TimedAdmissions(Admissions):
    """Admits everything, with time limits."""

    async def admit(
        self, command: c.CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Return the first event of the execution that is asked for."""
        found = await super().admit(command, envelope, now_us)
        first = replace(found.created, spec=spec_of(command.name))
        return Admission(first, found.definition)


class TimedWorld(World):
    """A world of executions that wait for times."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        self.takes_snapshots = True
        self.admissions = TimedAdmissions

    def definition(self, name: str) -> Definition:
        """Return the graph of an execution."""
        return graph_of(name)


class Wait(NamedTuple):
    """A time that an event set: when that was, and how long it is to be waited."""

    set_us: int
    duration_us: int


@dataclass(slots=True)
class Stopwatch:
    """Reads the log as it grows, and knows how much time passed up to each event.

    What was set before it began to read is not checked.
    """

    waits: dict[tuple[str, str, int], list[Wait]] = field(
        default_factory=lambda: defaultdict(list)
    )
    seen: int = 0
    fired: set[str] = field(default_factory=set)

    def read(self, world: World) -> list[Received]:
        """Check what is new on the log, and return it."""
        fresh = world.data.records[self.seen :]
        self.seen += len(fresh)
        for record in fresh:
            if record.topic == topics.EVENTS and record.envelope.sequence:
                self._check(record, world.clock.elapsed_us)
        return fresh

    def _check(self, record: Received, elapsed_us: int) -> None:
        stream, _, timer = record.envelope.causation.partition("/timer/")
        if timer:
            node_id, _, due_us = timer.rsplit("/", 2)
            waits = self.waits[stream, node_id, int(due_us)]
            late = [elapsed_us - w.set_us - w.duration_us for w in waits]
            assert not late or min(map(abs, late)) <= LATE_US, (timer, waits, late)
            self.fired.add(record.envelope.causation)
        event = codec.decode_as(record.body, ne.Event)
        for node_id, due_us in _times(event):
            wait = Wait(elapsed_us, due_us - event.occurred_at_us)
            self.waits[record.envelope.stream, node_id, due_us].append(wait)


def _times(event: ne.Event) -> Iterator[tuple[str, int]]:
    """Yield the times that an event sets, with their nodes."""
    match event:
        case e.ExecutionTimeLimited():
            yield "", event.deadline_us
        case ne.NodeTimeLimited():
            yield event.node_id, event.deadline_us
        case ne.TaskQueued(start_by_us=due_us) if due_us:
            yield event.node_id, due_us
        case ne.TaskStarted(deadline_us=due_us) if due_us:
            yield event.node_id, due_us
            yield event.node_id, 2 * due_us - event.occurred_at_us
        case ne.NodeRetryScheduled():
            yield event.node_id, event.retry_at_us
        case ne.GateSleeping():
            yield event.node_id, event.wakes_at_us
        case _:
            pass


def report_of(received: Received, number: int) -> Record:
    """Return the report that a dispatch was started."""
    run = codec.decode_as(received.body, RunTask)
    report = start(run)
    return Record(
        topic=topics.COMMANDS,
        key=run.stream,
        envelope=Envelope(
            id=f"report-{number}", type=codec.type_name(report), stream=run.stream
        ),
        body=codec.encode(report),
    )


async def live(world: World, watch: Stopwatch, steps: int, jump_p: float) -> None:
    """Run a propeller for some steps; tasks start and don't end; the clock jumps."""
    log, stop, draw = (
        MemoryLog(world.data, clock=world.clock),
        asyncio.Event(),
        world.draw,
    )
    await log.open()

    async def restore(partition: OwnedPartition, engine: Propeller) -> None:
        await restoring.restore(log, partition, engine)

    engine = Partitions(log, lambda: propeller(world, log), restore, world.clock)
    task, starts = asyncio.create_task(engine.run(stop)), list[Record]()
    for step in range(steps):
        await asyncio.sleep(0)
        world.clock.advance(TICK_US)
        if draw.random() < jump_p:
            world.clock.jump(draw.choice(JUMPS_US))
        for received in watch.read(world):
            name = received.envelope.stream.rpartition("/")[2]
            if received.topic == topics.DISPATCHES and name in BEGUN:
                starts.append(report_of(received, received.position))
        if starts and draw.random() < 0.05:
            await log.append([starts.pop(0)])
        if task.done() or (step % CHECK_EVERY == 0 and check(world) == ENDS):
            break
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await log.close()


def recorded_times(world: World) -> dict[str, list[int]]:
    """Return the times of each stream's events."""
    found = defaultdict[str, list[int]](list)
    for record in world.data.records:
        if record.topic == topics.EVENTS and record.envelope.sequence:
            event = codec.decode_as(record.body, ne.Event)
            found[record.envelope.stream].append(event.occurred_at_us)
    return found


async def begin(seed: int, folder: Path, *names: str) -> TimedWorld:
    """Return a world in which these executions are asked for."""
    world = TimedWorld(seed, folder)
    for name in names or ALL:
        await create(world, name)
    return world


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_jump_neither_fires_nor_delays_a_timer(
    seed: int, tmp_path: Path
) -> None:
    """A minute or a day, forward and back: every wait is as long as it was set."""
    world, watch = await begin(seed, tmp_path), Stopwatch()

    await live(world, watch, STEPS_MAX, jump_p=0.02)

    assert check(world) == ENDS, f"seed {seed}"
    assert watch.fired
    for times in recorded_times(world).values():
        assert times == sorted(times), f"seed {seed}"


class TimeOfDayClock(VirtualClock):
    """A clock that has nothing but the time of day: what timers were counted by."""

    def monotonic(self) -> float:
        """Return the time of day in seconds."""
        return self.at_us / SECOND_US


async def test_counting_by_the_time_of_day_is_found(tmp_path: Path) -> None:
    """Without what this is about, the first seed fails."""
    world = await begin(SEEDS[0], tmp_path)
    world.clock = TimeOfDayClock()

    with pytest.raises(AssertionError, match="Wait"):
        await live(world, Stopwatch(), STEPS_MAX, jump_p=0.02)


@pytest.mark.parametrize("away_us", [DAY_US, -DAY_US, 0])
async def test_after_a_restart_the_time_of_day_counts(
    away_us: int, tmp_path: Path
) -> None:
    """What came due meanwhile happens at once, the rest no later than it was set."""
    world, second = await begin(0, tmp_path, "sleeps"), SECOND_US // TICK_US
    await live(world, Stopwatch(), 3 * second, jump_p=0)
    world.clock.jump(away_us)
    watch = Stopwatch(seen=len(world.data.records))

    await live(world, watch, second, jump_p=0)
    assert len(watch.fired) == (away_us > 0), "of the five seconds two are left"
    await live(world, watch, 6 * second, jump_p=0)
    assert watch.fired

"""A second kind of stream crashes with executions; each stream ends as it should."""

from __future__ import annotations

from collections import Counter as Tally
from pathlib import Path

import pytest

from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import Command
from tests.simulation.seeds import seeds
from tests.simulation.test_engine import World, create, live
from tests.support.counters.kind import CLOSED, COUNTERS, KINDS, Counter
from tests.support.counters.messages import CODEC, AddToCounter, CloseCounter
from tests.support.fakes import MemoryLog
from workers.operations.audit import Audit

SEEDS = seeds(6)
CRASHES, ROUNDS_MAX = 12, 200
NAMES = ("one", "two", "three")


async def send(world: World, stream: str, command_id: str, command: Command) -> None:
    """Append a command, as a publisher does."""
    log = MemoryLog(world.data)
    await log.open()
    envelope = Envelope(id=command_id, type=CODEC.type_name(command), stream=stream)
    body = CODEC.encode(command)
    record = Record(topic=topics.COMMANDS, key=stream, envelope=envelope, body=body)
    await log.append([record])
    await log.close()


def phases(world: World) -> Tally[str]:
    """Check the log from outside; return how many streams are in each phase."""
    audit = Audit(KINDS)
    findings = [
        finding
        for record in world.data.records
        if record.topic == topics.EVENTS
        for finding in audit.take(record)
    ]
    assert findings == []
    return Tally(audit.phases().values())


def value(world: World, stream: str) -> int:
    """Return a counter's value by its events."""
    events = [
        CODEC.decode(record.body)
        for record in world.data.records
        if record.topic == topics.EVENTS
        and record.envelope.stream == stream
        and record.envelope.sequence
    ]
    found: Counter = COUNTERS.decider.fold(events)
    return found.value


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_addition_is_lost_or_doubled(seed: int, tmp_path: Path) -> None:
    """At once, later or forwarded: each amount is added once, whatever crashes."""
    world, expected = World(seed, tmp_path, KINDS), Tally[str]()
    await create(world, "e0")
    for number in range(CRASHES):
        name, other = world.draw.sample(NAMES, 2)
        amount = world.draw.randint(1, 9)
        forward_to = world.draw.choice(["", f"counter/{other}"])
        delay_us = 0 if forward_to else world.draw.choice([0, 5_000, 500_000])
        expected[name] += amount
        expected[other] += amount if forward_to else 0
        command = AddToCounter(amount=amount, delay_us=delay_us, forward_to=forward_to)
        await send(world, f"counter/{name}", f"add-{number}", command)
        await live(world, world.draw.randint(1, 120))
        phases(world)
    for _ in range(ROUNDS_MAX):
        if {name: value(world, f"counter/{name}") for name in NAMES} == expected:
            break
        await live(world, 400)
    for name in NAMES:
        assert value(world, f"counter/{name}") == expected[name], f"seed {seed}"
        await send(world, f"counter/{name}", f"close-{name}", CloseCounter())
    for _ in range(ROUNDS_MAX):
        await live(world, 3000)
        found = phases(world)
        if (found[CLOSED], found["SUCCEEDED"]) == (len(NAMES), 4):
            return
    raise AssertionError(f"seed {seed}: {phases(world)}")

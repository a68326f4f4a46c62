"""A recovery crashes at any await; what its original saved is never run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.wire import codec
from tests.simulation.seeds import seeds
from tests.simulation.test_engine import Admissions, World, check, live
from tests.support.engine import CREATE
from tests.support.fakes import MemoryLog
from workers.propeller.loading.admission import Admission
from workers.propeller.loading.recovery_source import load_recovery_source

SEEDS = seeds(8)
CRASHES, ROUNDS_MAX = 6, 200
ORIGINAL = ExecutionRef(project="p", domain="d", name="e0")
AGAIN = ExecutionRef(project="p", domain="d", name="r0")


class RecoveringAdmissions(Admissions):
    """Admits everything, with what the original has left."""

    async def admit(
        self, command: c.CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Return the first event, and what is taken over."""
        found = await super().admit(command, envelope, now_us)
        if command.recovers is None:
            return found
        original = await load_recovery_source(
            MemoryLog(self.world.data), command.recovers
        )
        created = replace(found.created, recovers=command.recovers)
        return Admission(created, found.definition, original.recovery)


async def _send(world: World, ref: ExecutionRef, command: c.ExecutionCommand) -> None:
    log, stream = MemoryLog(world.data), execution_stream(ref)
    await log.open()
    kind = codec.type_name(command)
    envelope = Envelope(id=f"{stream}/{kind}", type=kind, stream=stream)
    await log.append(
        [
            Record(
                topic=topics.COMMANDS,
                key=stream,
                envelope=envelope,
                body=codec.encode(command),
            )
        ]
    )
    await log.close()


def _events(world: World, ref: ExecutionRef, *kinds: type) -> list[Any]:
    found = [
        codec.decode(record.body)
        for record in world.data.records
        if record.topic == topics.EVENTS
        and record.envelope.stream == execution_stream(ref)
        and record.envelope.sequence
    ]
    return [event for event in found if isinstance(event, kinds)]


async def _until(world: World, ref: ExecutionRef, *kinds: type) -> None:
    for _ in range(ROUNDS_MAX):
        if _events(world, ref, *kinds):
            return
        await live(world, 400)
    raise AssertionError(f"{ref.name} doesn't end")


@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_saved_is_not_run_again(seed: int, tmp_path: Path) -> None:
    """An execution is terminated half way; its recovery runs the rest, and no more."""
    world = World(seed, tmp_path)
    world.admissions = RecoveringAdmissions
    await _send(world, ORIGINAL, replace(CREATE, name="e0"))
    while len(_events(world, ORIGINAL, ne.NodeSucceeded)) < 2 + seed:
        await live(world, world.draw.randint(20, 80))
    await _send(world, ORIGINAL, c.TerminateExecution(cause="enough"))
    await _until(world, ORIGINAL, e.ExecutionAborted, e.ExecutionSucceeded)

    command = replace(CREATE, name="r0", recovers=ORIGINAL)
    await _send(world, AGAIN, command)
    for _ in range(CRASHES):
        await live(world, world.draw.randint(1, 80))
    await _until(world, AGAIN, e.ExecutionSucceeded, e.ExecutionFailed)

    check(world)
    assert _events(world, AGAIN, e.ExecutionSucceeded)
    done = {event.node_id for event in _events(world, ORIGINAL, ne.NodeSucceeded)}
    queued = {event.node_id for event in _events(world, AGAIN, ne.TaskQueued)}
    saved = {event.site.node_id for event in _events(world, AGAIN, ne.NodeRecovered)}
    assert saved
    assert saved <= done
    assert not queued & done

"""Many mid-sized outputs: the state of an execution stays within its inline budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flyteidl.core import literals_pb2
from msgspec.structs import replace

from domain.execution.context import Limits
from domain.execution.decide import execution as decider
from domain.execution.state.inline_outputs import held
from domain.execution.state.state import Execution
from infra.blobs.files import FileBlobs
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.commands import CreateExecution
from schemas.phases import ExecutionPhase
from schemas.values import Values
from schemas.wire import codec
from tests.simulation.test_engine import (
    ALL,
    Admissions,
    World,
    check,
    crash_until_all_ended,
    create,
    live,
)
from tests.support.graphs import array_of, definition, task_node
from workers.propeller.loading.admission import Admission

VALUE, TASKS, ELEMENTS = 2_000, 20, 20
MESSAGE = Limits().inline_bytes
BUDGET = 16_000
WITHOUT_BUDGET = (TASKS + ELEMENTS) * VALUE
"""What the state would hold at least."""
SEEDS = range(3)
CRASHES, ROUNDS_MAX = 6, 100


class LargeInputs(Admissions):
    """Admits everything, with a text as input, which the tasks pass on."""

    async def admit(
        self, command: CreateExecution, envelope: Envelope, now_us: int
    ) -> Admission:
        """Return the first event of the execution that is asked for."""
        found = await super().admit(command, envelope, now_us)
        text = Values(inline=_text("x").SerializeToString())
        return Admission(replace(found.created, inputs=text), found.definition)


def _text(name: str) -> literals_pb2.LiteralMap:
    literals = literals_pb2.LiteralMap()
    literals.literals[name].scalar.primitive.string_value = "y" * VALUE
    return literals


def _world(seed: int, folder: Path) -> World:
    """Return a world of a fan-out and a map, whose outputs exceed the budget."""
    world = World(seed, folder)
    wide = [task_node(f"x{i}", "n0") for i in range(TASKS)]
    mapped = array_of("m0", ["n0"] * ELEMENTS, task="t", parallelism=2)
    last = task_node("n1", *[f"x{i}" for i in range(TASKS)], after=["m0"])
    world.parent = definition([task_node("n0"), *wide, mapped, last], "n1")
    world.admissions = LargeInputs
    world.limits = Limits(inline_budget=BUDGET)
    return world


def _largest(world: World) -> tuple[int, Execution]:
    """Return the most bytes of outputs that the state ever held, and the last state."""
    state, largest = Execution(), 0
    for record in world.data.records:
        if record.topic == topics.EVENTS and record.envelope.sequence:
            state = decider.evolve(state, codec.decode(record.body))
            largest = max(largest, held(state))
    return largest, state


async def _outputs(blobs: FileBlobs, outputs: Values | None) -> Any:
    assert outputs is not None
    return literals_pb2.LiteralMap.FromString(await blobs.get(outputs.uri))


@pytest.mark.parametrize("seed", SEEDS)
async def test_many_outputs_stay_within_the_budget(seed: int, tmp_path: Path) -> None:
    """Also where the engine crashes, and what the state holds is counted again.

    Beyond it are only outputs of tasks that were dispatched before it was used up.
    """
    world = _world(seed, tmp_path)
    await create(world, "e0")
    for _ in range(CRASHES):
        await live(world, world.draw.randint(1, 400))
    for _ in range(ROUNDS_MAX):
        if check(world) == {"SUCCEEDED": 1}:
            break
        await live(world, 3000)

    largest, state = _largest(world)
    assert state.phase is ExecutionPhase.SUCCEEDED, f"seed {seed}"
    assert await _outputs(world.blobs, state.outputs) == _text("o0")
    assert BUDGET <= largest < BUDGET + MESSAGE < WITHOUT_BUDGET


@pytest.mark.parametrize("seed", SEEDS)
async def test_executions_of_every_shape_end_without_a_budget(
    seed: int, tmp_path: Path
) -> None:
    """All that a runner writes goes by reference: nothing depends on where it lies."""
    world = World(seed, tmp_path)
    world.limits = Limits(inline_budget=0)
    await crash_until_all_ended(world)

    assert check(world) == {"SUCCEEDED": ALL}, f"seed {seed}"

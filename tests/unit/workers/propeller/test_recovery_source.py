"""What is read of an execution that is recovered, off a log in memory."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from schemas.ids import ExecutionRef, execution_stream
from schemas.values import Values
from tests.support.engine import Engine, created
from tests.support.fakes import MemoryLog
from tests.support.graphs import definition, task_node, values
from tests.support.memory_log import event_records
from workers.propeller.loading.recovery_source import load_recovery_source

FIRST = ExecutionRef(project="p", domain="d", name="main-1")
SECOND = ExecutionRef(project="p", domain="d", name="main-2")


def broken() -> Engine:
    """Return an execution of n0 > n1 whose n1 failed."""
    nodes = [task_node("n0"), task_node("n1", "n0")]
    engine = Engine(definition(nodes, "n1"), created())
    engine.begin()
    engine.succeed("n0", 7)
    engine.fail("n1")
    return engine


async def log_with(**executions: Sequence[object]) -> MemoryLog:
    """Return a log with the events of main-1 and main-2."""
    log = MemoryLog()
    await log.open()
    for name, events in executions.items():
        ref = ExecutionRef(project="p", domain="d", name=name.replace("_", "-"))
        await log.append(event_records(execution_stream(ref), events))
    return log


async def test_what_an_execution_left_is_read() -> None:
    """Its beginning, its end, and the nodes that succeeded."""
    log = await log_with(main_1=broken().events)

    original = await load_recovery_source(log, FIRST)

    assert original.has_ended
    assert original.created == broken().events[0]
    assert {k for k, v in original.recovery.items() if v.succeeded} == {
        ("n0",), ("start-node",)
    }  # fmt: skip


async def test_what_is_not_there_or_not_over_is_told() -> None:
    """An unknown execution has no beginning, a running one no end."""
    log = await log_with(main_1=broken().events[:4])

    unknown, running = (
        await load_recovery_source(log, SECOND),
        await load_recovery_source(log, FIRST),
    )

    assert unknown.created is None
    assert not unknown.recovery
    assert running.created is not None
    assert not running.has_ended


async def test_a_recovery_leaves_what_it_was_given() -> None:
    """What an older execution saved is read too, though the newer didn't come to it."""
    second = replace(created(), execution=SECOND, recovers=FIRST)
    log = await log_with(main_1=broken().events, main_2=[second])

    found = await load_recovery_source(log, SECOND)

    assert found.recovery[("n0",)].outputs == Values(inline=values(o0=7))


async def test_only_the_same_work_is_taken_over() -> None:
    """Another workflow, or other inputs, have other values."""
    log = await log_with(main_1=broken().events)
    original = await load_recovery_source(log, FIRST)
    inputs = Values(inline=values(x=2), digest="2")
    workflow = replace(created().workflow, version="v2")

    assert original.is_of(replace(created(), execution=SECOND))
    assert not original.is_of(replace(created(), inputs=inputs))
    assert not original.is_of(replace(created(), workflow=workflow))

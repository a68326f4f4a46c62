"""Redriving: dead letters are sent again in order, and executions go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.execution import decide
from schemas import topics
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.wire import codec
from tests.support.engine import success
from tests.support.harness.propeller_harness import Harness
from workers.operations.redrive import PAGE, Redriver, stored_dead_letters

POISON = c.ReportChild(node_id="n0", attempt=0, child="p/d/x", phase="QUEUED")


@pytest.fixture
def harness(log: Any) -> Harness:
    """A harness on each kind of log."""
    return Harness(log)


@pytest.fixture
def repaired(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """A decider that raises at every ReportChild until it is repaired."""
    event = asyncio.Event()
    report_child = decide.ROUTES[c.ReportChild]

    def broken(step: Any, command: Any) -> None:
        if not event.is_set():
            raise ZeroDivisionError("the decider broke")
        report_child(step, command)

    monkeypatch.setitem(decide.ROUTES, c.ReportChild, broken)
    return event


def redriver(harness: Harness) -> Redriver:
    """Return a redriver on the harness's log."""
    return Redriver(log=harness.log, clock=harness.clock, wait_s=10)


async def parked(harness: Harness) -> str:
    """Park an execution whose n0 has reported meanwhile."""
    stream = await harness.create("one")
    run = await harness.run_of(stream, "n0")
    await harness.send(stream, POISON)
    await harness.send(stream, success(run))
    await harness.until_dead_letters(2)
    return stream


async def test_an_execution_goes_on_where_it_was_parked(
    harness: Harness, repaired: asyncio.Event
) -> None:
    """Its dead letters are handled in order, and none of them is left."""
    async with harness.propeller():
        stream = await parked(harness)
        repaired.set()
        done = await redriver(harness).redrive([stream], [], "me")
        second = await harness.run_of(stream, "n1")
        await harness.send(stream, success(second))
        await harness.until_events(stream, e.ExecutionSucceeded)
    assert len(done.redriven) == 2
    assert not done.parked_again
    dead_letters = await stored_dead_letters(
        harness.log.read_to_end(topics.DEAD_LETTERS, {}, PAGE)
    )
    assert [dead_letter.redriven for dead_letter in dead_letters] == [True, True]
    events = await harness.events(stream)
    resumed = next(f for f in events if isinstance(f, e.StreamResumed))
    assert resumed.principal == "me"


async def test_what_breaks_again_parks_again(
    harness: Harness, repaired: asyncio.Event
) -> None:
    """Nothing is lost by trying too early: they are dead letters again, in order."""
    async with harness.propeller():
        stream = await parked(harness)
        first = await harness.dead_letters()
        done = await redriver(harness).redrive([], [_id(first[1])], "me")
        assert done.parked_again == [stream]
        again = await harness.until_dead_letters(4)
        assert [dead_letter.body for dead_letter in again[2:]] == [
            lt.body for lt in first
        ]
        repaired.set()
        done = await redriver(harness).redrive([stream], [], "me")
        assert len(done.redriven) == 2
        await harness.run_of(stream, "n1")
    kinds = [type(event_record) for event_record in await harness.events(stream)]
    assert kinds.count(e.StreamParked) == kinds.count(e.StreamResumed) == 2


async def test_what_cannot_be_read_stays_unless_it_is_named(harness: Harness) -> None:
    """Garbage goes nowhere by itself; named, it goes back as it is."""
    async with harness.propeller():
        stream = await harness.create("one")
        stop = c.TerminateExecution(cause="enough")
        await harness.send(stream, stop, body=codec.encode(stop)[:-1])
        (dead,) = await harness.until_dead_letters(1)
        done = await redriver(harness).redrive([stream], [], "me")
        assert (done.redriven, done.left) == ([], [_id(dead)])
        done = await redriver(harness).redrive([], [_id(dead)], "me")
        assert done.redriven == [_id(dead)]
        back = (await harness.until_dead_letters(2))[1]
    assert back.body == dead.body
    assert back.causation == dead.id


async def test_what_nobody_handles_waits_on_the_log(harness: Harness) -> None:
    """Without an engine they are put back all the same, and it finds them."""
    async with harness.propeller():
        boom = await harness.create("boom")
        await harness.until_dead_letters(1)
    hasty = Redriver(log=harness.log, clock=harness.clock, wait_s=0.2)
    done = await hasty.redrive([boom], [], "me")
    assert len(done.redriven) == 1
    async with harness.propeller():
        again = await harness.until_dead_letters(2)
    assert again[1].id == f"{done.redriven[0]}/redriven"


def _id(dead_letter: Any) -> str:
    return f"{dead_letter.topic}/{dead_letter.partition}/{dead_letter.position}"

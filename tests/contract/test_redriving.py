"""Redriving: what was put aside goes back in order, and executions go on."""

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
from tests.support.harness.propeller_harness import House
from workers.operations.redrive import PAGE, Redriver, stored_dead_letters

POISON = c.ReportChild(node_id="n0", attempt=0, child="p/d/x", phase="QUEUED")


@pytest.fixture
def house(log: Any) -> House:
    """A house on each kind of log."""
    return House(log)


@pytest.fixture
def repaired(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """A decider that raises at every ReportChild until it is repaired."""
    event = asyncio.Event()
    whole = decide.ROUTES[c.ReportChild]

    def broken(step: Any, command: Any) -> None:
        if not event.is_set():
            raise ZeroDivisionError("the decider broke")
        whole(step, command)

    monkeypatch.setitem(decide.ROUTES, c.ReportChild, broken)
    return event


def redriver(house: House) -> Redriver:
    return Redriver(log=house.log, clock=house.clock, wait_s=10)


async def parked(house: House) -> str:
    """Park an execution whose n0 has reported meanwhile."""
    stream = await house.create("one")
    run = await house.run_of(stream, "n0")
    await house.send(stream, POISON)
    await house.send(stream, success(run))
    await house.until_letters(2)
    return stream


async def test_an_execution_goes_on_where_it_was_parked(
    house: House, repaired: asyncio.Event
) -> None:
    """Its letters are handled in their order, and nothing of them is open any more."""
    async with house.propeller():
        stream = await parked(house)
        repaired.set()
        done = await redriver(house).redrive([stream], [], "me")
        second = await house.run_of(stream, "n1")
        await house.send(stream, success(second))
        await house.until_events(stream, e.ExecutionSucceeded)
    assert len(done.redriven) == 2
    assert not done.parked_again
    letters = await stored_dead_letters(
        house.log.read_to_end(topics.DEAD_LETTERS, {}, PAGE)
    )
    assert [letter.redriven for letter in letters] == [True, True]
    events = await house.events(stream)
    resumed = next(f for f in events if isinstance(f, e.StreamResumed))
    assert resumed.principal == "me"


async def test_what_breaks_again_parks_again(
    house: House, repaired: asyncio.Event
) -> None:
    """Nothing is lost by trying too early: the letters lie there anew, in order."""
    async with house.propeller():
        stream = await parked(house)
        first = await house.letters()
        done = await redriver(house).redrive([], [_id(first[1])], "me")
        assert done.parked_again == [stream]
        again = await house.until_letters(4)
        assert [letter.body for letter in again[2:]] == [lt.body for lt in first]
        repaired.set()
        done = await redriver(house).redrive([stream], [], "me")
        assert len(done.redriven) == 2
        await house.run_of(stream, "n1")
    kinds = [type(event_record) for event_record in await house.events(stream)]
    assert kinds.count(e.StreamParked) == kinds.count(e.StreamResumed) == 2


async def test_what_cannot_be_read_stays_unless_it_is_named(house: House) -> None:
    """Garbage goes nowhere by itself; named, it goes back as it is."""
    async with house.propeller():
        stream = await house.create("one")
        stop = c.TerminateExecution(cause="enough")
        await house.send(stream, stop, body=codec.encode(stop)[:-1])
        (dead,) = await house.until_letters(1)
        done = await redriver(house).redrive([stream], [], "me")
        assert (done.redriven, done.left) == ([], [_id(dead)])
        done = await redriver(house).redrive([], [_id(dead)], "me")
        assert done.redriven == [_id(dead)]
        back = (await house.until_letters(2))[1]
    assert back.body == dead.body
    assert back.causation == dead.id


async def test_what_nobody_handles_waits_on_the_log(house: House) -> None:
    """Without an engine they are put back all the same, and it finds them."""
    async with house.propeller():
        boom = await house.create("boom")
        await house.until_letters(1)
    hasty = Redriver(log=house.log, clock=house.clock, wait_s=0.2)
    done = await hasty.redrive([boom], [], "me")
    assert len(done.redriven) == 1
    async with house.propeller():
        again = await house.until_letters(2)
    assert again[1].id == f"{done.redriven[0]}/redriven"


def _id(letter: Any) -> str:
    return f"{letter.topic}/{letter.partition}/{letter.position}"

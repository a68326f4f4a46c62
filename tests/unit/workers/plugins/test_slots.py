"""Slots of a runner: owners take turns, and no slot is lost."""

from __future__ import annotations

import asyncio

import pytest

from workers.plugins.process.slots import Slots


class Line:
    """Waiters for slots, and the order in which they got them."""

    def __init__(self, count: int) -> None:
        self.slots = Slots(count)
        self.got: list[str] = []

    async def waits(self, owner: str) -> asyncio.Task[None]:
        """Start one more waiter of this owner."""

        async def take() -> None:
            await self.slots.acquire(owner)
            self.got.append(owner)

        waiting = asyncio.create_task(take())
        await asyncio.sleep(0)
        return waiting

    async def frees(self, count: int = 1) -> None:
        """Give slots back, one after the other."""
        for _ in range(count):
            self.slots.release()
            await asyncio.sleep(0)


async def test_owners_take_turns() -> None:
    """A later owner waits for one task of each other owner, not for all."""
    line = Line(1)
    for owner in ("wide", "wide", "wide", "wide", "small", "other", "small"):
        await line.waits(owner)
    await line.frees(6)

    assert line.got == ["wide", "wide", "small", "other", "wide", "small", "wide"]


async def test_no_more_slots_than_there_are() -> None:
    """Waiters beyond the count wait; an unused slot is free for the next."""
    line = Line(2)
    for owner in "abc":
        await line.waits(owner)
    before = list(line.got)
    await line.frees(3)
    await line.waits("d")
    await line.waits("e")
    await line.waits("f")

    assert before == ["a", "b"]
    assert line.got == ["a", "b", "c", "d", "e"]


async def test_a_cancelled_waiter_loses_its_turn() -> None:
    """The slot goes to the next who still waits."""
    line = Line(1)
    waiting = [await line.waits(owner) for owner in ("a", "wide", "wide", "small")]
    waiting[1].cancel()
    await asyncio.sleep(0)
    await line.frees()

    assert line.got == ["a", "wide"]
    waiting[3].cancel()
    await asyncio.sleep(0)
    await line.frees()
    await line.waits("later")

    assert line.got == ["a", "wide", "later"]


async def test_a_slot_given_to_a_cancelled_waiter_is_not_lost() -> None:
    """It goes to the next waiter."""
    line = Line(1)
    await line.waits("a")
    stopped = await line.waits("b")
    await line.waits("c")
    line.slots.release()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    await asyncio.sleep(0)

    assert line.got == ["a", "c"]

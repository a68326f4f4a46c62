"""Clocks: the machine's and the virtual one of the simulation keep one contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from infra.clock import SYSTEM_CLOCK, Clock, wait_up_to
from tests.support.clocks import VirtualClock

DELAY_S = 0.01


async def passed(clock: Clock, waiting: asyncio.Task[None]) -> None:
    """Let time pass until a task has ended."""
    async with asyncio.timeout(5):
        while not waiting.done():
            if isinstance(clock, VirtualClock):
                clock.advance(1000)
            await asyncio.sleep(0)
    await waiting


@pytest.fixture(params=[lambda: SYSTEM_CLOCK, VirtualClock], ids=["system", "virtual"])
def clock(request: pytest.FixtureRequest) -> Clock:
    """A clock of either kind."""
    make: Callable[[], Clock] = request.param
    return make()


async def test_a_sleep_takes_its_time(clock: Clock) -> None:
    """Monotonic time and the time of day move on by the delay, at least."""
    began_s, began_us = clock.monotonic(), clock.now_us()
    await passed(clock, asyncio.create_task(_sleep(clock)))

    assert clock.monotonic() - began_s >= DELAY_S * 0.9
    assert clock.now_us() > began_us


async def _sleep(clock: Clock) -> None:
    await clock.sleep(DELAY_S)


async def test_a_timeout_cancels_what_takes_longer(clock: Clock) -> None:
    """The block raises TimeoutError; one that is done in time doesn't."""

    async def wait() -> None:
        with pytest.raises(TimeoutError):
            async with clock.timeout(DELAY_S):
                await asyncio.Event().wait()
        async with clock.timeout(DELAY_S):
            await asyncio.sleep(0)
        await clock.sleep(2 * DELAY_S)

    await passed(clock, asyncio.create_task(wait()))


async def test_tasks_are_waited_for_no_longer_than_a_delay(clock: Clock) -> None:
    """They aren't cancelled then."""
    never = asyncio.create_task(asyncio.Event().wait())

    async def wait() -> None:
        await wait_up_to(DELAY_S, {never}, clock)

    await passed(clock, asyncio.create_task(wait()))
    assert not never.done()
    never.cancel()


async def test_virtual_time_stands_still_by_itself() -> None:
    """Who sleeps is woken by `advance` only, in the order of their times."""
    clock, woken = VirtualClock(), list[int]()

    async def sleep(delay_s: int) -> None:
        await clock.sleep(delay_s)
        woken.append(delay_s)

    sleeping = [asyncio.create_task(sleep(delay_s)) for delay_s in (3600, 60, 1)]
    await asyncio.sleep(0.01)
    assert woken == []
    clock.advance(60_000_000)
    await asyncio.sleep(0)
    assert woken == [1, 60]
    clock.advance(3_600_000_000)
    await asyncio.gather(*sleeping)
    assert woken == [1, 60, 3600]

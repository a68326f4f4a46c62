"""Retries: of transient errors only, with delays that double up to a limit."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from infra.errors import PermanentError, TransientError
from infra.retry import StrayCancellationError, retry_transient, uncancelled
from tests.support.clocks import VirtualClock


async def test_delays_double_up_to_the_limit() -> None:
    """The first retry comes after the first delay, the result after the last."""
    clock, calls_s = VirtualClock(at_us=0), list[float]()

    async def fail_five_times() -> str:
        calls_s.append(clock.monotonic())
        if len(calls_s) <= 5:
            raise TransientError("Cannot reach it")
        return "done"

    retrying = asyncio.create_task(
        retry_transient(fail_five_times, "it_is_delayed", 1.0, 5.0, clock=clock)
    )
    while not retrying.done():
        await asyncio.sleep(0)
        clock.advance(500_000)

    assert await retrying == "done"
    delays_s = [later - before for before, later in pairwise(calls_s)]
    assert [round(delay_s) for delay_s in delays_s] == [1, 2, 4, 5, 5]


async def test_other_errors_are_raised_at_once() -> None:
    """A permanent error isn't retried."""

    async def fail() -> None:
        raise PermanentError("Expected it, but it isn't")

    with pytest.raises(PermanentError):
        await retry_transient(fail, "it_is_delayed", clock=VirtualClock())


async def cancelled_by_its_library() -> str:
    """Wait for a future that somebody else cancels."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.cancel()
    return await future


async def test_a_cancellation_that_nobody_asked_for_is_a_failure() -> None:
    """It would end a loop without a word: a task group takes it for a request."""
    with pytest.raises(StrayCancellationError):
        await uncancelled(cancelled_by_its_library())

    async with asyncio.TaskGroup() as group:
        loop = group.create_task(asyncio.wait([asyncio.Future()]))
        silent = group.create_task(cancelled_by_its_library())
        await asyncio.wait([silent])
        loop.cancel()
    assert silent.cancelled()


async def test_a_cancellation_that_nobody_asked_for_is_retried() -> None:
    """The action is repeated, as after any other failure outside."""
    calls = 0

    async def cancelled_once() -> str:
        nonlocal calls
        calls += 1
        return "done" if calls > 1 else await cancelled_by_its_library()

    assert await retry_transient(cancelled_once, "it_is_delayed", 0.0) == "done"


async def test_a_cancellation_and_a_time_limit_are_no_failures() -> None:
    """Who is cancelled ends, and isn't made to go on."""

    async def wait() -> None:
        await asyncio.Event().wait()

    for work in (uncancelled(wait()), retry_transient(wait, "it_is_delayed")):
        waiting = asyncio.create_task(work)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await retry_transient(wait, "it_is_delayed")

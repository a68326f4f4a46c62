"""Retries: of transient errors only, with delays that double up to a limit."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from infra.errors import PermanentError, TransientError
from infra.retry import retry_transient
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

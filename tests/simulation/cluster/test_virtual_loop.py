"""The loop of virtual time: a run that doesn't end says what goes on in it."""

from __future__ import annotations

import asyncio
from typing import Never

import pytest

from tests.support.virtual.activity import RunawayError
from tests.support.virtual.loop import DeadlockError, run

STEPS = 5_000


async def polls_for_ever() -> None:
    """Wait for what never comes, in short sleeps."""
    while True:
        await asyncio.sleep(0.01)


async def waits_beside(other: asyncio.Event) -> None:
    """Begin what polls, and wait for something else."""
    async with asyncio.TaskGroup() as group:
        group.create_task(polls_for_ever())
        await other.wait()


async def has(main: asyncio.Future[Never]) -> None:
    """Wait for what nobody will ever set."""
    await main


def test_a_run_without_an_end_is_ended() -> None:
    """It names who ran last, where the others wait, and how far time went."""
    with pytest.raises(RunawayError) as found:
        run(waits_beside(asyncio.Event()), STEPS)
    text = str(found.value)
    assert f"goes on after {STEPS} steps" in text
    assert "x polls_for_ever (" in text
    assert "x waits_beside (" in text


def test_a_run_that_nobody_can_continue_is_ended() -> None:
    """All wait for each other."""

    async def stuck() -> None:
        await has(asyncio.get_running_loop().create_future())

    with pytest.raises(DeadlockError):
        run(stuck())

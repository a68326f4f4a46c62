"""Parts under watch: one that ends by itself ends the engine, and says why."""

from __future__ import annotations

import asyncio

import pytest

from gateway.bootstrap.supervision import PartEndedError, watch
from infra.errors import PermanentError


async def _raises() -> None:
    raise OSError("disk full")


async def _returns() -> None:
    pass


async def test_tells_why_a_part_died() -> None:
    """An error of a part names the part and the error."""
    with pytest.raises(PartEndedError, match="projector to run on, but: disk full"):
        await watch("projector", _raises(), asyncio.Event())


async def test_tells_what_only_error_a_group_holds() -> None:
    """A part that runs several tasks raises a group."""

    async def refused() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_refused())

    with pytest.raises(PermanentError, match="a topic, but there is none"):
        await watch("propeller", refused(), asyncio.Event())


async def _refused() -> None:
    raise PermanentError("Expected a topic, but there is none")


async def test_takes_a_silent_return_for_a_death() -> None:
    """A part that returns while the engine runs is as bad as one that raised."""
    with pytest.raises(PartEndedError, match="runner to run on, but it returned"):
        await watch("runner", _returns(), asyncio.Event())


async def test_lets_parts_end_while_stopping() -> None:
    """While the engine stops, parts may return."""
    stopping = asyncio.Event()
    stopping.set()
    await watch("runner", _returns(), stopping)


async def test_passes_cancellation_on() -> None:
    """A cancelled part is no death."""
    task = asyncio.create_task(watch("x", asyncio.sleep(60), asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_takes_a_cancellation_that_nobody_asked_for_for_a_death() -> None:
    """A library let one of its own reach the part: it doesn't run on."""

    async def cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    with pytest.raises(PartEndedError, match="runner to run on, but: What was waited"):
        await watch("runner", cancelled(), asyncio.Event())

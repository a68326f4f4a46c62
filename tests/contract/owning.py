"""Owning a partition for as long as a block lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from infra.eventlog.contract import Log, OwnedPartition
from schemas import topics as t

GROUP = "g"
_SOON_S = 30


@asynccontextmanager
async def owning(log: Log, group: str = GROUP) -> AsyncIterator[OwnedPartition]:
    """Own the first partition of commands that falls to us, meanwhile."""
    stop = asyncio.Event()
    got: asyncio.Future[OwnedPartition] = asyncio.get_running_loop().create_future()

    async def serve(partition: OwnedPartition, taken: asyncio.Event) -> None:
        if not got.done():
            got.set_result(partition)
        await taken.wait()

    owner = asyncio.create_task(log.own(group, t.COMMANDS, serve, stop))
    try:
        await asyncio.wait(
            (owner, got), timeout=_SOON_S, return_when=asyncio.FIRST_COMPLETED
        )
        if owner.done():
            await owner
        yield got.result()
    finally:
        stop.set()
        await owner


async def kept(log: Log, group: str = GROUP) -> int:
    """Return the position kept on the first partition of commands."""
    return (await log.positions(group, t.COMMANDS)).get(0, 0)


async def assert_gapless(log: Log, stream: str) -> None:
    """Assert that a stream's events have the sequence numbers 1, 2, 3 and so on."""
    sequences = [r.envelope.sequence for r in await log.stream(stream)]
    assert sequences == list(range(1, len(sequences) + 1))

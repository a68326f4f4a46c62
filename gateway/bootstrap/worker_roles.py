"""The roles that work behind the door: propeller, projector, runner."""

from __future__ import annotations

import asyncio
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.bootstrap import components, gauges
from gateway.bootstrap.adapters import Backings
from gateway.telemetry.exposition import Gauges
from infra.settings import Settings
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from workers.propeller import restore as restoring
from workers.propeller.loading.stream_endings import ClosedStreamQuery

_DOOR_PORT = 30081


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A role at hand: `run` works until the event, then finishes what it must."""

    run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]
    gauges: Gauges


Build = Callable[[Backings], AbstractAsyncContextManager[Worker]]


@asynccontextmanager
async def propeller(backings: Backings) -> AsyncIterator[Worker]:
    """Decide the commands of partitions that fall to this process; also sweep.

    What several of them sweep up is the same: who comes second finds nothing.
    """
    restore = partial(restoring.restore, backings.log)
    endings = ClosedStreamQuery(backings.pool)
    partitions = components.partitions(backings, restore, endings)
    sweeper = components.sweeper(backings)

    async def run(stop: asyncio.Event) -> None:
        sweeping = asyncio.create_task(sweeper.run())
        try:
            await partitions.run(stop)
        finally:
            sweeping.cancel()

    yield Worker(run=run, gauges=lambda: gauges.of_propeller(partitions))


@asynccontextmanager
async def projector(backings: Backings) -> AsyncIterator[Worker]:
    """Fold the events of partitions that fall to this process into views."""
    folding = Projector(backings.log, backings.pool)
    shared = PartitionedProjector(backings.log, folding)

    async def run(stop: asyncio.Event) -> None:
        """Stop between two transactions, or within one: it counts whole or not."""
        working = asyncio.create_task(shared.run())
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait({working})
        if not working.cancelled():
            await working

    yield Worker(run=run, gauges=lambda: gauges.of_projector(folding))


@asynccontextmanager
async def runner(backings: Backings) -> AsyncIterator[Worker]:
    """Carry out the dispatches that fall to this process."""
    settings = backings.settings
    name = name_of(settings)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(_scratch(backings)))
        url = settings.gateway.url or f"http://{settings.host}:{_DOOR_PORT}"
        process = components.process_plugin(
            settings, folder, backings.pool, backings.blobs, url
        )
        if process is not None:
            stack.callback(process.close)
        running = components.runner(backings, process, name)

        async def run(stop: asyncio.Event) -> None:
            if process is None:
                await running.run(stop)
                return
            warming = asyncio.create_task(components.warm_up(process))
            try:
                await running.run(stop)
            finally:
                warming.cancel()

        yield Worker(run=run, gauges=lambda: gauges.of_runner(running))


def name_of(settings: Settings) -> str:
    """Return the runner's name: the same after a restart only where one was given."""
    if "name" in settings.runner.model_fields_set:
        return settings.runner.name
    return settings.kafka.instance or f"{socket.gethostname()}-{secrets.token_hex(4)}"


def _scratch(backings: Backings) -> tempfile.TemporaryDirectory[str]:
    """Return a folder for code bundles: gone at the end, none of another runner's."""
    parent = backings.data.path / "runners"
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(
        dir=parent, prefix="bundles-", ignore_cleanup_errors=True
    )


WORKERS: dict[str, Build] = {
    "propeller": propeller,
    "projector": projector,
    "runner": runner,
}

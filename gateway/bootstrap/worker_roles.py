"""The worker roles: propeller, projector and runner."""

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

from gateway.bootstrap import components, gauges
from gateway.bootstrap.adapters import RoleAdapters
from infra.settings import Settings
from infra.telemetry.counters import ReadValues, Values
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from workers.operations.kafka_trimmer import KafkaTrimmer
from workers.propeller import restore as restoring
from workers.propeller.loading.stream_endings import ClosedStreamQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A built role: `run` works until the event is set, then finishes its work."""

    run: Callable[[asyncio.Event], Coroutine[None, None, None]]
    metrics: ReadValues


Build = Callable[[RoleAdapters], AbstractAsyncContextManager[Worker]]


@asynccontextmanager
async def propeller(adapters: RoleAdapters) -> AsyncIterator[Worker]:
    """Build a propeller for the partitions assigned to this process.

    It also sweeps and trims, which several propellers can do at once.
    """
    restore = partial(restoring.restore, adapters.log)
    closed = ClosedStreamQuery(adapters.pool)
    partitions = components.partitions(adapters, restore, closed)
    sweeper = components.sweeper(adapters)
    trimmer = KafkaTrimmer(
        log=adapters.log,
        clock=adapters.clock,
        retention_s=adapters.settings.kafka.retention_s,
        interval_s=adapters.settings.log.trim_interval_s,
    )

    async def run(stop: asyncio.Event) -> None:
        others = [asyncio.create_task(part.run()) for part in (sweeper, trimmer)]
        try:
            await partitions.run(stop)
        finally:
            for other in others:
                other.cancel()

    yield Worker(
        run=run,
        metrics=lambda: _values(adapters, gauges.of_propeller(partitions)),
    )


@asynccontextmanager
async def projector(adapters: RoleAdapters) -> AsyncIterator[Worker]:
    """Build a projector for the partitions assigned to this process."""
    projector = Projector(
        adapters.log, adapters.pool, batch_max=adapters.settings.log.events_max
    )
    shared = PartitionedProjector(
        adapters.log,
        projector,
        adapters.gate,
        adapters.settings.kafka.given_up_s,
        adapters.clock,
    )

    async def run(stop: asyncio.Event) -> None:
        """Run until told to stop; a transaction in progress is rolled back."""
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

    yield Worker(
        run=run,
        metrics=lambda: _values(adapters, gauges.of_shared_projector(shared)),
    )


@asynccontextmanager
async def runner(adapters: RoleAdapters) -> AsyncIterator[Worker]:
    """Build a runner for the dispatches of the partitions assigned to it."""
    settings = adapters.settings
    name = runner_name(settings)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(_scratch(adapters)))
        process = components.process_plugin(
            settings, folder, adapters.pool, adapters.blobs
        )
        if process is not None:
            stack.callback(process.close)
        running = components.runner(adapters, process, name)

        async def run(stop: asyncio.Event) -> None:
            if process is None:
                await running.run(stop)
                return
            warming = asyncio.create_task(components.warm_up(process))
            try:
                await running.run(stop)
            finally:
                warming.cancel()

        yield Worker(
            run=run,
            metrics=lambda: _values(adapters, gauges.of_runner(running)),
        )


def runner_name(settings: Settings) -> str:
    """Return the runner's name, stable across restarts only if it is configured."""
    if "name" in settings.runner.model_fields_set:
        return settings.runner.name
    return (
        settings.kafka.group_instance_id
        or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    )


def _scratch(adapters: RoleAdapters) -> tempfile.TemporaryDirectory[str]:
    """Return a folder for code bundles of this runner alone, removed at the end."""
    parent = adapters.data.path / "runners"
    parent.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(
        dir=parent, prefix="bundles-", ignore_cleanup_errors=True
    )


def _values(adapters: RoleAdapters, of_role: Values) -> Values:
    """Return the values of a role with those of its log."""
    return {**of_role, **gauges.of_log(adapters.log)}


WORKERS: dict[str, Build] = {
    "propeller": propeller,
    "projector": projector,
    "runner": runner,
}

"""The runner role."""

from __future__ import annotations

import asyncio
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.bootstrap import gauges
from gateway.bootstrap.components import runners
from gateway.bootstrap.roles.adapters import RoleAdapters
from gateway.bootstrap.roles.worker import Served, Worker
from infra.settings import Settings


@asynccontextmanager
async def runner(adapters: RoleAdapters, _served: Served) -> AsyncIterator[Worker]:
    """Build a runner for the dispatches of the partitions assigned to it."""
    settings = adapters.settings
    name = runner_name(settings)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(_scratch(adapters)))
        process = runners.process_plugin(
            settings, folder, adapters.pool, adapters.blobs
        )
        if process is not None:
            stack.callback(process.close)
        running = runners.runner(adapters, process, name)

        async def run(stop: asyncio.Event) -> None:
            if process is None:
                await running.run(stop)
                return
            warming = asyncio.create_task(runners.warm_up(process))
            try:
                await running.run(stop)
            finally:
                warming.cancel()

        yield Worker(
            run=run,
            metrics=lambda: gauges.of_role(adapters.log, gauges.of_runner(running)),
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

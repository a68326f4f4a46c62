"""Roles as separate processes: each runs until SIGTERM, then drains."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.bootstrap.checks import check_python, check_shared
from gateway.bootstrap.data_dir import DataDir
from gateway.bootstrap.ports import bind, check_free, http_url, link_base
from gateway.bootstrap.probing import prober
from gateway.bootstrap.roles.adapters import RoleAdapters, open_adapters
from gateway.bootstrap.roles.worker import Build, Served, Worker
from gateway.bootstrap.supervision import signals, watch
from gateway.rest.routes.health import health_app
from gateway.rest.server import HttpServer
from gateway.telemetry.exposition import new_registry
from gateway.telemetry.health import Health
from infra.settings import Settings

log_ = structlog.get_logger(__name__)

GATEWAY, PROPELLER, PROJECTOR, RUNNER = "gateway", "propeller", "projector", "runner"
ROLES = (GATEWAY, PROPELLER, PROJECTOR, RUNNER)
_DRAIN_S = 8.0
"""A role must have finished its current work by then."""

OnReady = Callable[[str, str], None]
"""Called with the addresses of gRPC ('' for workers) and HTTP."""


async def run(role: str, settings: Settings, on_ready: OnReady) -> None:
    """Run a role until SIGTERM or SIGINT; raises what ended it otherwise.

    Raises PermanentError if the settings, or what they name, can't be used, and
    PortInUseError.
    """
    check_shared(settings, stores_blobs=role != PROJECTOR)
    if role == RUNNER:
        check_python(settings)
    DataDir(settings.data_dir).prepare()
    stopping = asyncio.Event()
    log_.info("role_starting", role=role)
    with (
        signals(stopping),
        bind(settings.host, settings.http_port) as bound,
    ):
        if role == GATEWAY:
            check_free(settings.host, settings.grpc_port, bound)
        await _Process(role, _builder(role), settings, bound, stopping).run(on_ready)
    log_.info("stopped", role=role)


def _builder(role: str) -> Build:
    """Return what builds a role, without importing what only other roles run."""
    if role == GATEWAY:
        from gateway.bootstrap.roles.gateway import gateway  # noqa: PLC0415 - heavy

        return gateway
    if role == PROPELLER:
        from gateway.bootstrap.roles.propeller import propeller  # noqa: PLC0415 - heavy

        return propeller
    if role == PROJECTOR:
        from gateway.bootstrap.roles.projector import projector  # noqa: PLC0415 - heavy

        return projector
    from gateway.bootstrap.roles.runner import runner  # noqa: PLC0415 - heavy

    return runner


@asynccontextmanager
async def _connected(settings: Settings, role: str) -> AsyncIterator[RoleAdapters]:
    """Connect a role's adapters, and probe what they need from then on.

    Before, each says what it waits for, and what refuses this role is no outage.
    """
    async with (
        open_adapters(settings, role) as adapters,
        prober(settings, adapters.data, settings.postgres).running(),
    ):
        yield adapters


@dataclass(slots=True, eq=False)
class _Process:
    """A role's process: its work, and the server of its health."""

    role: str
    build: Build
    settings: Settings
    bound: socket.socket
    stop: asyncio.Event

    async def run(self, on_ready: OnReady) -> None:
        """Run until told to stop; health is served before adapters are connected."""
        health = Health((self.role,))
        built: list[Worker] = []
        registry = new_registry(lambda: built[0].metrics() if built else {})
        drain_s = self.settings.gateway.drain_timeout_s
        served = Served(
            health=health,
            registry=registry,
            http=HttpServer(health_app(health, registry), drain_s),
            link_base=link_base(self.settings, self.bound),
        )

        async def work() -> None:
            async with (
                _connected(self.settings, self.role) as adapters,
                self.build(adapters, served) as worker,
            ):
                built.append(worker)
                health.serves(self.role)
                on_ready(worker.grpc, http_url(self.settings.host, self.bound))
                await worker.run(self.stop)

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(served.http.serve_on(self.bound))
            working = group.create_task(watch(self.role, work(), self.stop))
            await self.stop.wait()
            is_starting, health.draining = bool(health.missing), True
            await _end(working, at_once=is_starting)
            served.http.stop()
            await _end(serving)


async def _end(task: asyncio.Task[None], *, at_once: bool = False) -> None:
    """Wait for a task to end, and cancel it after a time limit."""
    await asyncio.wait({task}, timeout=0 if at_once else _DRAIN_S)
    if not task.done():
        log_.warning("part_cancelled", part=task.get_name())
        task.cancel()

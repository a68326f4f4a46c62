"""Roles as separate processes: each runs until SIGTERM, then drains."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.bootstrap.adapters import RoleAdapters, open_adapters
from gateway.bootstrap.checks import check_python, check_shared
from gateway.bootstrap.data_dir import DataDir
from gateway.bootstrap.ports import bind, check_free, http_url, link_base
from gateway.bootstrap.probing import prober
from gateway.bootstrap.supervision import signals, watch
from gateway.bootstrap.worker_roles import WORKERS, Build, Worker
from gateway.rest.routes.health import health_app
from gateway.rest.server import HttpServer
from gateway.telemetry.exposition import new_registry
from gateway.telemetry.health import Health
from infra.addresses import authority
from infra.settings import Settings

log_ = structlog.get_logger(__name__)

GATEWAY, PROJECTOR, RUNNER = "gateway", "projector", "runner"
ROLES = (GATEWAY, *WORKERS)
_DRAIN_S = 8.0
"""A worker must have finished its current work by then."""
_HTTP_S = 1.0

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
            await _run_gateway(settings, bound, stopping, on_ready)
        else:
            worker = _Worker(role, WORKERS[role], settings, bound, stopping)
            await worker.run(on_ready)
    log_.info("stopped", role=role)


async def _run_gateway(
    settings: Settings, bound: socket.socket, stop: asyncio.Event, on_ready: OnReady
) -> None:
    from gateway.bootstrap.gateway_role import gateway  # noqa: PLC0415 - heavy: gRPC, FastAPI

    health = Health((GATEWAY,))
    url = http_url(settings.host, bound)
    check_free(settings.host, settings.grpc_port, bound)

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            async with _early_health(health, bound):
                opened = _connected(settings, GATEWAY)
                adapters = await stack.enter_async_context(opened)
                built = gateway(adapters, health, link_base(settings, bound))
                servers = await stack.enter_async_context(built)

            def ready() -> None:
                health.serves(GATEWAY)
                on_ready(authority(settings.host, servers.grpc.port), url)

            await servers.run(bound, stop, ready)

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(watch(GATEWAY, serve(), stop))
        await stop.wait()
        is_starting, health.draining = bool(health.missing), True
        await _end(serving, at_once=is_starting)


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


@asynccontextmanager
async def _early_health(health: Health, bound: socket.socket) -> AsyncIterator[None]:
    """Serve health alone within the block: what a gateway waits for can be asked."""
    http = HttpServer(health_app(health, new_registry()), _HTTP_S)
    serving = asyncio.create_task(http.serve_on(bound.dup()))
    try:
        yield
    finally:
        http.stop()
        await _end(serving)


@dataclass(slots=True, eq=False)
class _Worker:
    """A role that serves no clients: its work, and the server of its health."""

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
        http = HttpServer(health_app(health, registry), _HTTP_S)

        async def work() -> None:
            async with (
                _connected(self.settings, self.role) as adapters,
                self.build(adapters) as worker,
            ):
                built.append(worker)
                health.serves(self.role)
                on_ready("", http_url(self.settings.host, self.bound))
                await worker.run(self.stop)

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(http.serve_on(self.bound))
            working = group.create_task(watch(self.role, work(), self.stop))
            await self.stop.wait()
            is_starting, health.draining = bool(health.missing), True
            await _end(working, at_once=is_starting)
            http.stop()
            await _end(serving)


async def _end(task: asyncio.Task[None], *, at_once: bool = False) -> None:
    """Wait for a task to end, and cancel it after a time limit."""
    await asyncio.wait({task}, timeout=0 if at_once else _DRAIN_S)
    if not task.done():
        log_.warning("part_cancelled", part=task.get_name())
        task.cancel()

"""The embedded engine: built, started in order, supervised and stopped."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import structlog

from gateway.bootstrap import gauges
from gateway.bootstrap.adapters import Adapters
from gateway.bootstrap.checks import check_blobs, check_python
from gateway.bootstrap.components import propellers, runners
from gateway.bootstrap.components.services import services as build_services
from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.bootstrap.logs import open_postgres_log, open_store
from gateway.bootstrap.ports import bind, check_free, free_port, link_base
from gateway.bootstrap.probing import prober
from gateway.bootstrap.supervision import signals, watch
from gateway.registry import projects
from gateway.rest.server import HttpServer
from gateway.services.container import Services
from gateway.telemetry.exposition import new_registry
from gateway.telemetry.health import Health
from gateway.version import version
from infra.blobs.files import Blobs
from infra.blobs.store import open_blobs
from infra.clock import SystemClock
from infra.eventlog.contract import OwnedPartition
from infra.eventlog.postgres.log import PostgresLog
from infra.postgres.embedded_server import PostgresServer
from infra.postgres.failures import retry_outages
from infra.postgres.format_gate import FormatGate
from infra.postgres.pool import open_pool
from infra.postgres.usable import check_usable
from infra.retry import run_endless
from infra.settings import Settings
from infra.telemetry import counters
from infra.telemetry.counters import Values
from projections.migrate import migrate
from projections.projector.projector import Projector
from projections.queries import streams
from projections.views.apply import STREAM_PROJECTIONS
from workers.operations.log_trimmer import trim
from workers.operations.retention import Sweeper
from workers.plugins.process.plugin import ProcessPlugin
from workers.propeller import restore as restoring
from workers.propeller.loop import Propeller
from workers.propeller.partitions import Partitions, Restore
from workers.runner.loop import Runner

log_ = structlog.get_logger(__name__)

PARTS = ("projector", "propeller", "runner", "grpc", "http")
_NOTIFIERS = "gateway.bootstrap.components.notifiers"
"""Imported while channels are set only."""
_SWITCH_S = 0.0005
_STEP_S = 2.0
"""Each step of an orderly stop may take this long."""

OnReady = Callable[[EngineAddress], None]


@dataclass(slots=True, kw_only=True)
class Engine:
    """The parts of one engine, built and connected, but not yet running."""

    services: Services
    log: PostgresLog
    projector: Projector
    propeller: Partitions
    runner: Runner
    sweeper: Sweeper
    process: ProcessPlugin | None
    health: Health
    gate: FormatGate
    notifier: Runs | None = None


class Runs(Protocol):
    """A part that runs for ever."""

    async def run(self) -> None:
        """Run; raises what ended it."""
        ...

    def values(self) -> Values:
        """Return its metrics."""
        ...


async def run(settings: Settings, on_ready: OnReady = lambda _: None) -> None:
    """Run an engine until SIGTERM or SIGINT; raises what ended it otherwise.

    Raises EngineAlreadyRunningError if the data folder is in use, PortInUseError if a
    port is.
    """
    check_python(settings)
    check_blobs(settings)
    data = DataDir(settings.data_dir)
    stopping = asyncio.Event()
    if not settings.grpc_port:  # Tasks are given it before the server listens.
        found = {"grpc_port": free_port(settings.host)}
        settings = settings.model_copy(update=found)
    with (
        data.hold(),
        signals(stopping),
        bind(settings.host, settings.http_port) as http_socket,
    ):
        check_free(settings.host, settings.grpc_port, http_socket)
        await _run_until_stopped(settings, data, http_socket, stopping, on_ready)
    log_.info("stopped")


async def _run_until_stopped(
    settings: Settings,
    data: DataDir,
    http_socket: socket.socket,
    stopping: asyncio.Event,
    on_ready: OnReady,
) -> None:
    """Run the engine; a stop ends a start at once, however long that would take."""
    is_ready = False

    def ready(address: EngineAddress) -> None:
        nonlocal is_ready
        is_ready = True
        on_ready(address)

    running = asyncio.create_task(_run(settings, data, http_socket, stopping, ready))
    stopped = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if is_ready or running.done():
            await running
    finally:
        stopped.cancel()
        if not running.done():
            running.cancel()
            await asyncio.wait({running})
    if not running.cancelled():
        await running


async def _run(
    settings: Settings,
    data: DataDir,
    http_socket: socket.socket,
    stopping: asyncio.Event,
    on_ready: OnReady,
) -> None:
    async with AsyncExitStack() as stack:
        blobs = await stack.enter_async_context(open_blobs(settings, data.blobs))
        url = settings.postgres
        if url:
            await check_usable(url)
        else:
            url = await _start_postgres(data, stack)
        await stack.enter_async_context(prober(settings, data, url).running())
        base_url = link_base(settings, http_socket)
        engine = await stack.enter_async_context(
            _build(settings, data, url, base_url, blobs)
        )

        def ready(grpc_port: int) -> None:
            address = EngineAddress(
                pid=os.getpid(),
                host=settings.host,
                grpc_port=grpc_port,
                http_port=http_socket.getsockname()[1],
                postgres=url,
                version=version(),
                started_at_us=engine.services.clock.now_us(),
            )
            data.announce(address)
            on_ready(address)

        await _Service(engine, http_socket, stopping, ready).run()


async def _start_postgres(data: DataDir, stack: AsyncExitStack) -> str:
    server = PostgresServer(data.postgres)
    url = await server.start_unless_cancelled()
    guard = asyncio.create_task(server.keep_running(), name="postgres")

    async def stop() -> None:
        guard.cancel()
        await asyncio.wait([guard])
        await asyncio.to_thread(server.stop)

    stack.push_async_callback(stop)
    return url


@asynccontextmanager
async def _build(
    settings: Settings, data: DataDir, url: str, base_url: str, blobs: Blobs
) -> AsyncIterator[Engine]:
    """Connect everything; what is opened last is closed first."""
    clock = SystemClock()
    await asyncio.to_thread(migrate, url)
    async with AsyncExitStack() as stack:
        log = await stack.enter_async_context(open_postgres_log(settings, url))
        store = await stack.enter_async_context(open_store(url))
        pool = await open_pool(url)
        stack.push_async_callback(pool.close)
        gate = FormatGate(pool, settings.upgrade, "embedded", version())
        await stack.enter_async_context(gate.entered())
        adapters = Adapters(
            settings=settings,
            clock=clock,
            pool=pool,
            blobs=blobs,
            log=log,
            data=data,
            gate=gate,
        )
        services = build_services(adapters, store, base_url)
        await projects.seed(services, projects.FIRST)
        process = runners.process_plugin(settings, data.path / "bundles", pool, blobs)
        if process is not None:
            stack.callback(process.close)
        engine = _assemble(adapters, services, log, process)
        if settings.notify.is_on:
            notifiers = importlib.import_module(_NOTIFIERS)
            engine.notifier = await stack.enter_async_context(
                notifiers.embedded_notifier(adapters, base_url)
            )
        yield engine


def _assemble(
    adapters: Adapters,
    services: Services,
    log: PostgresLog,
    process: ProcessPlugin | None,
) -> Engine:
    projector = Projector(
        log,
        adapters.pool,
        batch_max=adapters.settings.log.events_max,
        on_outcome=services.submit.settle,
    )
    return Engine(
        services=services,
        log=log,
        projector=projector,
        propeller=propellers.partitions(
            adapters,
            _restore(adapters),
            applied=lambda: projector.applied,
            own_runner=adapters.settings.runner.name,
        ),
        runner=runners.runner(adapters, process, adapters.settings.runner.name),
        sweeper=propellers.sweeper(adapters),
        process=process,
        health=Health(PARTS),
        gate=adapters.gate,
    )


def _restore(adapters: Adapters) -> Restore:
    async def restore(partition: OwnedPartition, propeller: Propeller) -> None:
        """Restore active streams by snapshots, else by the read models, caught up."""
        if await restoring.restore_from_snapshots(adapters.log, partition, propeller):
            return
        await propeller.restore(
            await retry_outages(
                lambda: streams.open_streams(adapters.pool, STREAM_PROJECTIONS),
                "restore_delayed",
            )
        )
        propeller.snapshots.start_over(propeller.streams.active)

    return restore


@dataclass(slots=True)
class _Service:
    """A running engine: starts its parts in order, supervises and stops them."""

    engine: Engine
    http_socket: socket.socket
    stopping: asyncio.Event
    on_ready: Callable[[int], None]

    async def run(self) -> None:
        """Run until `stopping`; the first part that fails ends the engine."""
        engine, drain_s = (
            self.engine,
            self.engine.services.settings.gateway.drain_timeout_s,
        )
        async with asyncio.TaskGroup() as group:
            stops = await self._start_work(group)
            servers = await asyncio.to_thread(_import_servers)
            registry = new_registry(self._metrics)
            app, grpc = servers.build(engine.services, engine.health, registry)
            http = HttpServer(app, drain_s)
            http_task = self._start(group, "http", http.serve_on(self.http_socket))
            await grpc.start()
            following = group.create_task(
                run_endless(lambda: grpc.follow(lambda: engine.health.ready))
            )
            await engine.gate.open("the embedded engine, once it was ready")
            self.on_ready(grpc.port)
            # Last: who sees a ready engine finds its address told and its gate open.
            engine.health.serves("grpc")
            try:
                await self.stopping.wait()
                engine.health.draining = True
                http.stop()
            finally:
                following.cancel()
                await grpc.stop(drain_s)
            await stops()
            await _end(http_task)

    def _start(
        self, group: asyncio.TaskGroup, name: str, part: Coroutine[None, None, None]
    ) -> asyncio.Task[None]:
        task = group.create_task(watch(name, part, self.stopping), name=name)
        self.engine.health.serves(name)
        return task

    async def _start_work(
        self, group: asyncio.TaskGroup
    ) -> Callable[[], Coroutine[None, None, None]]:
        """Start the workers; return what stops runner, propeller and projector."""
        engine = self.engine
        work, draining = asyncio.Event(), asyncio.Event()
        await engine.projector.catch_up()
        projector = self._start(group, "projector", engine.projector.run())
        propeller = self._start(group, "propeller", engine.propeller.run(work))
        runner = self._start(group, "runner", engine.runner.run(draining))
        extra = [
            self._start(group, "sweeper", engine.sweeper.run()),
            self._start(
                group,
                "trimmer",
                trim(engine.log, engine.services.settings.log),
            ),
        ]
        if engine.notifier is not None:
            extra.append(self._start(group, "notifier", engine.notifier.run()))
        if engine.process is not None:
            extra.append(group.create_task(runners.warm_up(engine.process)))

        async def stop() -> None:
            draining.set()
            await _end(runner)
            work.set()
            await _end(propeller)
            for task in (*extra, projector):
                task.cancel()

        return stop

    def _metrics(self) -> Values:
        engine = self.engine
        return {
            **gauges.of_propeller(engine.propeller),
            **gauges.of_projector(engine.projector),
            counters.DEAD_LETTERS: engine.propeller.dead_letters
            + engine.runner.dead_letters,
            counters.EXECUTIONS_SWEPT: engine.sweeper.swept,
            counters.READY: float(engine.health.ready),
            **(engine.notifier.values() if engine.notifier is not None else {}),
        }


def _import_servers() -> ModuleType:
    """Import the servers, which is slow, while the workers run already.

    They get the interpreter back soon each time they need it.
    """
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)
    try:
        return importlib.import_module("gateway.bootstrap.servers")
    finally:
        sys.setswitchinterval(usual_s)


async def _end(task: asyncio.Task[None]) -> None:
    """Wait for a part to end, and cancel it after a time limit."""
    await asyncio.wait([task], timeout=_STEP_S)
    if not task.done():
        log_.warning("part_cancelled", part=task.get_name())
        task.cancel()

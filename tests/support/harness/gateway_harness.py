"""The gRPC server on a real Postgres, without the rest of an engine, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.registry import projects
from gateway.rpc.interceptor import Observe, ignore_call
from gateway.rpc.server import GrpcServer, build_servicers
from gateway.services.container import Services
from gateway.services.submit import Submit
from infra.blobs.files import FileBlobs
from infra.blobs.signing import Signer
from infra.clock import SystemClock
from infra.eventlog.event_store import EventStore
from infra.eventlog.postgres.log import PostgresLog
from infra.postgres.pool import open_pool
from infra.setting_sections.processes import GatewaySettings
from infra.setting_sections.storage import LogSettings
from infra.settings import Settings
from tests.support.http_server import nothing_redriven

READY_S = 30.0


@dataclass
class RunningGateway:
    """A running gateway: its services, its address, and the loop it runs in."""

    services: Services
    port: int
    loop: asyncio.AbstractEventLoop

    @property
    def endpoint(self) -> str:
        """Return where it listens."""
        return f"127.0.0.1:{self.port}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the gateway's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(READY_S)


@contextmanager
def run_gateway(
    url: str, folder: Path, *, observe: Observe = ignore_call, **gateway: Any
) -> Iterator[RunningGateway]:
    """Serve until the block is left; nothing handles commands."""
    loop = asyncio.new_event_loop()
    stopping = asyncio.Event()
    started: list[RunningGateway] = []
    failures: list[BaseException] = []
    ready = threading.Event()

    def take(running: RunningGateway) -> None:
        started.append(running)
        ready.set()

    def run() -> None:
        try:
            settings = Settings(data_dir=folder, gateway=GatewaySettings(**gateway))
            loop.run_until_complete(_serve(url, settings, observe, stopping, take))
        except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
            failures.append(error)
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    ready.wait(READY_S)
    try:
        if failures:
            raise failures[0]
        yield started[0]
    finally:
        if not failures:
            loop.call_soon_threadsafe(stopping.set)
        thread.join(READY_S)


async def _serve(
    url: str,
    settings: Settings,
    observe: Observe,
    stopping: asyncio.Event,
    take: Callable[[RunningGateway], None],
) -> None:
    async with AsyncExitStack() as stack:
        log = PostgresLog(url, LogSettings(poll_interval_s=0.2))
        await log.open()
        stack.push_async_callback(log.close)
        store = EventStore(url)
        await store.open()
        stack.push_async_callback(store.close)
        pool = await open_pool(url)
        stack.push_async_callback(pool.close)
        services = Services(
            settings=settings,
            clock=SystemClock(),
            pool=pool,
            blobs=FileBlobs(settings.data_dir / "blobs"),
            signer=(signer := Signer(b"secret", "http://127.0.0.1:9")),
            links=signer,
            store=store,
            log=log,
            submit=Submit(log, pool, settings.gateway.command_timeout_s),
            redrive=nothing_redriven,
        )
        await projects.seed(services, "flytesnacks")
        servicers = build_servicers(services)
        server = GrpcServer(servicers, "127.0.0.1:0", settings.gateway, observe)
        await server.start()
        take(RunningGateway(services, server.port, asyncio.get_running_loop()))
        await stopping.wait()
        await server.stop(0)

"""The role at the door: gRPC and HTTP, commands onto the log, outcomes by news."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
import structlog

from gateway.bootstrap import components, servers
from gateway.bootstrap.adapters import Backings
from gateway.bootstrap.components import redriving
from gateway.registry import projects
from gateway.rest.server import HttpServer
from gateway.rpc.server import GrpcServer
from gateway.services.container import Services
from gateway.services.submit import Submit
from gateway.telemetry.health import Health
from infra.blobs.signing import Signer
from infra.blobs.store import links
from infra.eventlog.event_store import EventStore
from infra.postgres.pool import alone
from infra.retry import RETRY_S
from infra.settings import Settings

log_ = structlog.get_logger(__name__)

_RELAY_LOCK = 0x666C_7265_6C61


class Relay(Protocol):
    """What copies the registry's events to the log."""

    @property
    def relayed(self) -> int:
        """Return how many events were copied since the start."""
        ...

    async def check(self) -> None:
        """Raise Permanent where the registry lacks events that the log has."""
        ...

    async def run(self) -> None:
        """Copy for ever."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Both servers of one gateway, and what brings it news of outcomes."""

    http: HttpServer
    grpc: GrpcServer
    submit: Submit
    relay: Relay
    postgres: str
    drain_s: float

    async def run(self, bound: socket.socket, stop: asyncio.Event) -> None:
        """Serve until `stop`; calls under way may end by themselves for a while."""
        async with asyncio.TaskGroup() as group:
            hearing = group.create_task(self.submit.listen(self.postgres))
            relaying = group.create_task(_relay(self.relay, self.postgres))
            serving = group.create_task(self.http.serve_on(bound))
            await self.grpc.start()
            try:
                await stop.wait()
                self.http.stop()
            finally:
                await self.grpc.stop(self.drain_s)
            await asyncio.wait({serving}, timeout=self.drain_s)
            hearing.cancel()
            relaying.cancel()


async def _relay(relay: Relay, url: str) -> None:
    """Copy the registry's events to the log, as the only gateway that does."""
    while True:
        try:
            async with alone(url, _RELAY_LOCK):
                await relay.run()
        except psycopg.OperationalError as error:
            log_.warning("relay_waits", error=str(error))
            await asyncio.sleep(RETRY_S)


@asynccontextmanager
async def gateway(backings: Backings, health: Health, url: str) -> AsyncIterator[Door]:
    """Build the door of one gateway; raises PortTaken."""
    settings = backings.settings
    async with AsyncExitStack() as stack:
        store = EventStore(settings.postgres)
        async with alone(settings.postgres):
            await store.open()
            stack.push_async_callback(store.close)
            relay = components.relay(store, backings.log)
            await relay.check()
            services = _services(backings, store, url)
            await projects.seed(services, projects.FIRST)

        def figures() -> Mapping[str, tuple[str, float]]:
            waiting = services.submit.waiting
            return {
                "commands_awaited": ("Commands without an outcome yet.", waiting),
                "registry_relayed": (
                    "Events of the registry that were copied to the log.",
                    relay.relayed,
                ),
            }

        http, grpc = servers.build(services, health, figures)
        yield Door(
            http=http,
            grpc=grpc,
            submit=services.submit,
            relay=relay,
            postgres=settings.postgres,
            drain_s=settings.gateway.drain_s,
        )


def _services(backings: Backings, store: EventStore, url: str) -> Services:
    settings: Settings = backings.settings
    signer = Signer(backings.data.secret(), settings.gateway.url or url)
    return Services(
        settings=settings,
        clock=backings.clock,
        pool=backings.pool,
        blobs=backings.blobs,
        signer=signer,
        links=links(settings, backings.blobs, signer, backings.clock.now_us),
        store=store,
        log=backings.log,
        submit=Submit(backings.log, backings.pool, settings.gateway.outcome_s),
        redrive=redriving(backings.log, backings.clock),
    )

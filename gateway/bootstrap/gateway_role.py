"""The gateway role: gRPC and HTTP servers, outcomes by LISTEN, registry relay."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from gateway.bootstrap import components, servers
from gateway.bootstrap.adapters import RoleAdapters
from gateway.registry import projects
from gateway.rest.server import HttpServer
from gateway.rpc.server import GrpcServer
from gateway.services.submit import Submit
from gateway.telemetry.health import Health
from infra.errors import TransientError
from infra.eventlog.event_store import EventStore
from infra.outages import log_failure
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import advisory_lock
from infra.retry import RETRY_S
from infra.telemetry import counters
from infra.telemetry.counters import Values

_RELAY_LOCK = 0x666C_7265_6C61


class Relay(Protocol):
    """Copies the registry's events to the log."""

    @property
    def relayed(self) -> int:
        """Return how many events were copied since the start."""
        ...

    async def check(self) -> None:
        """Raise PermanentError if the registry lacks events that are on the log."""
        ...

    async def run(self) -> None:
        """Copy until cancelled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayServers:
    """Both servers of a gateway, with the listener for outcomes and the relay."""

    http: HttpServer
    grpc: GrpcServer
    submit: Submit
    relay: Relay
    health: Health
    postgres: str
    drain_s: float

    async def run(
        self, bound: socket.socket, stop: asyncio.Event, on_ready: Callable[[], None]
    ) -> None:
        """Serve until `stop`; calls in progress have `drain_s` to end."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self.submit.listen(self.postgres))
            relaying = group.create_task(_relay(self.relay, self.postgres))
            serving = group.create_task(self.http.serve_on(bound))
            await self.grpc.start()
            following = group.create_task(self.grpc.follow(lambda: self.health.ready))
            on_ready()
            try:
                await stop.wait()
                self.http.stop()
            finally:
                following.cancel()
                await self.grpc.stop(self.drain_s)
            await asyncio.wait({serving}, timeout=self.drain_s)
            listening.cancel()
            relaying.cancel()


async def _relay(relay: Relay, url: str) -> None:
    """Copy the registry's events to the log while this gateway holds the lock."""
    while True:
        try:
            with outages_are_transient():
                async with advisory_lock(url, _RELAY_LOCK):
                    await relay.run()
        except TransientError as error:
            log_failure("relay_delayed", error)
            await asyncio.sleep(RETRY_S)


@asynccontextmanager
async def gateway(
    adapters: RoleAdapters, health: Health, link_base: str
) -> AsyncIterator[GatewayServers]:
    """Build the servers of a gateway; raises PortInUseError.

    Its links begin with `link_base`.
    """
    settings = adapters.settings
    async with AsyncExitStack() as stack:
        store = EventStore(settings.postgres)
        async with advisory_lock(settings.postgres):
            await store.open()
            stack.push_async_callback(store.close)
            relay = components.relay(store, adapters.log)
            await relay.check()
            services = components.services(adapters, store, link_base)
            await projects.seed(services, projects.FIRST)

        def metrics() -> Values:
            return {
                counters.COMMANDS_IN_FLIGHT: services.submit.in_flight,
                counters.REGISTRY_EVENTS_RELAYED: relay.relayed,
            }

        http, grpc = servers.build(services, health, metrics)
        yield GatewayServers(
            http=http,
            grpc=grpc,
            submit=services.submit,
            relay=relay,
            health=health,
            postgres=settings.postgres,
            drain_s=settings.gateway.drain_timeout_s,
        )

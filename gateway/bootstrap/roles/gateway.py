"""The gateway role: gRPC and HTTP servers, outcomes by LISTEN, registry relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.bootstrap import servers
from gateway.bootstrap.components.services import services as build_services
from gateway.bootstrap.roles.adapters import RoleAdapters
from gateway.bootstrap.roles.worker import Served, Worker
from gateway.registry import projects
from gateway.services.container import Services
from infra.addresses import authority
from infra.errors import TransientError
from infra.eventlog.event_store import EventStore
from infra.outages import log_failure
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import advisory_lock
from infra.retry import RETRY_S, run_endless
from infra.telemetry import counters
from infra.telemetry.counters import Values
from workers.operations.registry_relay import RegistryRelay

_RELAY_LOCK = 0x666C_7265_6C61


async def _relay(relay: RegistryRelay, url: str) -> None:
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
async def gateway(adapters: RoleAdapters, served: Served) -> AsyncIterator[Worker]:
    """Build the servers of a gateway, and serve clients; raises PortInUseError."""
    settings = adapters.settings
    drain_s = settings.gateway.drain_timeout_s
    async with AsyncExitStack() as stack:
        store = EventStore(settings.postgres)
        async with advisory_lock(settings.postgres):
            await store.open()
            stack.push_async_callback(store.close)
            relay = RegistryRelay(store=store, log=adapters.log)
            await relay.check()
            services = build_services(adapters, store, served.link_base)
            await projects.seed(services, projects.FIRST)
        app, grpc = servers.build(services, served.health, served.registry)

        async def run(stop: asyncio.Event) -> None:
            """Serve until told to stop; calls in progress have `drain_s` to end."""
            async with asyncio.TaskGroup() as group:
                endless = (
                    lambda: services.submit.listen(settings.postgres),
                    lambda: _relay(relay, settings.postgres),
                    lambda: grpc.follow(lambda: served.health.ready),
                )
                parts = [group.create_task(run_endless(part)) for part in endless]
                try:
                    await stop.wait()
                    served.http.stop()
                finally:
                    await grpc.stop(drain_s)
                for part in parts:
                    part.cancel()

        await grpc.start()
        served.http.app = app
        yield Worker(
            run=run,
            metrics=lambda: _values(services, relay),
            grpc=authority(settings.host, grpc.port),
        )


def _values(services: Services, relay: RegistryRelay) -> Values:
    return {
        counters.COMMANDS_IN_FLIGHT: services.submit.in_flight,
        counters.REGISTRY_EVENTS_RELAYED: relay.relayed,
        counters.DEAD_LETTERS: relay.refused,
    }

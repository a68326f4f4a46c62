"""Builds what the gateway's handlers are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.bootstrap.adapters import Adapters
from gateway.services.container import Services
from gateway.services.redrive import Redrive, RedriveBody
from gateway.services.submit import Submit
from infra.blobs.signing import Signer
from infra.blobs.store import links
from infra.clock import Clock
from infra.eventlog.event_store import EventStore
from workers.operations.redrive import DeadLetterLog, Redriver


def redrive_request_handler(log: DeadLetterLog, clock: Clock) -> Redrive:
    """Return the handler of redrive requests to a running engine."""
    redriver = Redriver(log=log, clock=clock)

    async def redrive(body: RedriveBody) -> Mapping[str, Sequence[str]]:
        done = await redriver.redrive(body.streams, body.dead_letters, body.principal)
        outcomes: dict[str, list[str]] = msgspec.to_builtins(done)
        return outcomes

    return redrive


def services(adapters: Adapters, store: EventStore, url: str) -> Services:
    """Return what the gateway's handlers are given; `url` is what links begin with."""
    settings = adapters.settings
    signer = Signer(adapters.data.secret(), url)
    return Services(
        settings=settings,
        clock=adapters.clock,
        pool=adapters.pool,
        blobs=adapters.blobs,
        signer=signer,
        links=links(settings, adapters.blobs, signer, adapters.clock.now_us),
        store=store,
        log=adapters.log,
        submit=Submit(adapters.log, adapters.pool, settings.gateway.command_timeout_s),
        redrive=redrive_request_handler(adapters.log, adapters.clock),
    )

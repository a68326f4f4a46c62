"""Decisions on the registry: load a stream, decide, append; retried on conflict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from msgspec.structs import replace

from gateway.services.container import Services
from gateway.services.errors import RpcError, accepted, invalid
from gateway.services.registry_store import RegistryStore
from infra.errors import ConflictError
from projections.queries import registry
from schemas.messages.registry_events import RegistryEvent
from schemas.messages.rejections import Rejected

TRIES = 10
STREAM_BYTES_MAX = 2_600
"""A stream's name is a key, and Postgres takes none above 2,704 bytes."""
_ESCAPES = str.maketrans({"/": "%2F", "%": "%25"})

Decide = Callable[[Sequence[Any]], Sequence[RegistryEvent] | Rejected]
"""A decider's function of a stream's events, which are of the stream's own classes."""


async def decide(store: RegistryStore, stream: str, decide_: Decide) -> None:
    """Load, decide, append; raises RpcError, ABORTED after too many conflicts."""
    for _ in range(TRIES):
        known = await store.load(stream)
        events = not_earlier(known, accepted(decide_(known)))
        if not events:
            return
        try:
            await store.append(
                stream, len(known), events, actor="", also=registry.writer(events)
            )
        except ConflictError:
            continue
        return
    raise RpcError(
        grpc.StatusCode.ABORTED,
        f"Expected to change {stream}, but others change it all the time; try again",
    )


def not_earlier(
    known: Sequence[RegistryEvent], events: Sequence[RegistryEvent]
) -> Sequence[RegistryEvent]:
    """Return events that are no earlier than the last one of their stream."""
    last_us = known[-1].occurred_at_us if known else 0
    return [
        replace(event, occurred_at_us=last_us)
        if event.occurred_at_us < last_us
        else event
        for event in events
    ]


def stream_of(kind: str, *parts: str) -> str:
    """Return the name of an entity's stream, whatever the entity's names contain."""
    stream = "/".join(("registry", kind, *map(escaped, parts)))
    if len(stream.encode()) > STREAM_BYTES_MAX:
        raise invalid(f"Expected shorter names, but '{stream[:100]}…' is too long")
    return stream


def escaped(part: str) -> str:
    """Return a part of a path without separators in it."""
    return part.translate(_ESCAPES)


async def check_place(services: Services, project: str, domain: str) -> None:
    """Refuse unknown projects and domains (ref §2.1); the domain may be empty."""
    if domain and domain not in services.settings.domains:
        known = ", ".join(services.settings.domains)
        raise invalid(f"Expected a domain of {known}, but got '{domain}'")
    found = await registry.get_project(services.pool, project)
    if found is None:
        raise invalid(f"Expected project '{project}' to exist, but it doesn't")
    if found.state != 0:
        raise invalid(f"Expected project '{project}' to be active, but it isn't")

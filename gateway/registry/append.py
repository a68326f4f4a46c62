"""Deciding on the registry: load a stream, decide, append; again if it moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc

from gateway.services.container import Services
from gateway.services.errors import RpcError, accepted, invalid
from infra.errors import ConflictError
from infra.eventlog.event_store import EventStore
from projections.queries import registry
from schemas.messages.rejections import Rejected

TRIES = 10
STREAM_BYTES_MAX = 2_600
"""A stream's name is a key, and Postgres takes none above 2,704 bytes."""
_ESCAPES = str.maketrans({"/": "%2F", "%": "%25"})

Decide = Callable[[Sequence[Any]], Sequence[Any] | Rejected]


class Registry(Protocol):
    """Where the registry's events lie."""

    @property
    def store(self) -> EventStore:
        """Return the store of the registry's streams."""
        ...


async def decide(services: Registry, stream: str, decide_: Decide) -> None:
    """Load, decide, append; raises Refused, ABORTED if others always are first."""
    for _ in range(TRIES):
        known = await services.store.load(stream)
        events = accepted(decide_(known))
        if not events:
            return
        try:
            await services.store.append(
                stream, len(known), events, actor="", also=registry.writer(events)
            )
        except ConflictError:
            continue
        return
    raise RpcError(
        grpc.StatusCode.ABORTED,
        f"Expected to change {stream}, but others change it all the time; try again",
    )


def stream_of(kind: str, *parts: str) -> str:
    """Return a registry stream: one for each entity, whatever its names contain."""
    stream = "/".join(("registry", kind, *map(escaped, parts)))
    if len(stream.encode()) > STREAM_BYTES_MAX:
        raise invalid(f"Expected shorter names, but '{stream[:100]}…' is too long")
    return stream


def escaped(part: str) -> str:
    """Return a part of a path without separators in it."""
    return part.translate(_ESCAPES)


async def check_place(services: Services, project: str, domain: str) -> None:
    """Refuse unknown projects and domains (ref §2.1); domain '' means all of them."""
    if domain and domain not in services.settings.domains:
        known = ", ".join(services.settings.domains)
        raise invalid(f"Expected a domain of {known}, but got '{domain}'")
    found = await registry.get_project(services.pool, project)
    if found is None:
        raise invalid(f"Expected project '{project}' to exist, but it doesn't")
    if found.state != 0:
        raise invalid(f"Expected project '{project}' to be active, but it isn't")

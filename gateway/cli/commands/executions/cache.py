"""`flightlog cache`: outputs kept for reuse, and how to let go of them."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec
import typer

from domain.registry.evictions import evict as evict_
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.session.session import Session
from gateway.registry.append import decide, stream_of
from gateway.services.errors import RpcError
from infra.clock import SystemClock
from infra.eventlog.event_store import EventStore
from projections.queries.catalog import count_kept

_PARTS = 3


@dataclass(frozen=True, slots=True)
class _Registry:
    """The registry's streams, without an engine around them."""

    store: EventStore


async def evict(session: Session, text: str, *, json: bool) -> None:
    """Evict what is kept of a task, and tell how many outputs that was."""
    parts = text.strip("/").split("/", _PARTS - 1)
    if len(parts) != _PARTS or not all(parts):
        raise CommandError(
            f"Expected a task as project/domain/name, but got '{text}'", ExitCode.USAGE
        )
    project, domain, task = parts
    count = await count_kept(session.pool, project, domain, task)
    store = EventStore(session.url)
    await store.open()
    try:
        now_us = SystemClock().now_us()
        await decide(
            _Registry(store),
            stream_of("cache", project, domain, task),
            lambda known: evict_(known, project, domain, task, now_us=now_us),
        )
    except RpcError as error:
        raise CommandError(str(error)) from error
    finally:
        await store.close()
    if json:
        found = {"task": "/".join(parts), "evicted": count}
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        typer.echo(f"evicted {count} kept outputs of {'/'.join(parts)}")

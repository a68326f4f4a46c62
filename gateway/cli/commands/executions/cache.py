"""`flightlog cache`: evicts cached outputs of tasks."""

from __future__ import annotations

import typer

from domain.registry import evictions
from gateway.bootstrap.logs import open_store
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session
from gateway.registry.append import decide, stream_of
from gateway.services.errors import RpcError
from infra.clock import SYSTEM_CLOCK
from projections.queries.catalog import count_cached

_PARTS = 3


async def evict(session: Session, text: str, *, json: bool) -> None:
    """Evict the cached outputs of a task, and print how many there were."""
    parts = text.strip("/").split("/", _PARTS - 1)
    if len(parts) != _PARTS or not all(parts):
        raise CommandError(
            f"Expected a task as project/domain/name, but got '{text}'", ExitCode.USAGE
        )
    project, domain, task = parts
    count = await count_cached(session.pool, project, domain, task)
    try:
        async with open_store(session.url) as store:
            now_us = SYSTEM_CLOCK.now_us()
            await decide(
                store,
                stream_of("cache", project, domain, task),
                lambda known: evictions.evict(
                    known, project, domain, task, now_us=now_us
                ),
            )
    except RpcError as error:
        raise CommandError(str(error)) from error
    if json:
        print_json({"task": "/".join(parts), "evicted": count})
    else:
        typer.echo(f"evicted {count} cached outputs of {'/'.join(parts)}")

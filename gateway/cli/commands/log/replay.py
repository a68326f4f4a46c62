"""`flightlog replay`: views folded anew from the log, compared, put in place."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console

from gateway.cli.errors import ExitCode
from gateway.cli.session.progress_bar import EventsBar
from gateway.cli.session.session import Session
from gateway.cli.session.start_position import since_of
from infra.eventlog.contract import Received
from infra.eventlog.event_store import EventStore
from infra.eventlog.kafka.reader import KafkaReader
from projections.migrate import migrate
from projections.projector.rebuild import Difference, Rebuild, open_rebuild
from schemas import topics
from workers.operations import registry_relay


async def run(session: Session, begin: str | None, *, swap: bool, json: bool) -> None:
    """Rebuild beside the live views and compare; exits with 1 where they differ.

    With `swap` the rebuilt rows take the live ones' place, in one transaction.
    `begin` is a time or a position: what was created before is left aside.
    """
    since = None if begin is None else await since_of(session, begin)

    def read(
        after: Mapping[int, int], end: Mapping[int, int]
    ) -> AsyncIterator[Sequence[Received]]:
        return session.log.read_range(end, topics.EVENTS, after)

    if session.is_down or session.settings.kafka.servers:
        await asyncio.to_thread(migrate, session.url)  # maybe nobody else does
    restored = await _registry(session, swap=swap)
    began = time.monotonic()
    end = await session.log.end((topics.EVENTS,))
    async with open_rebuild(session.url, session.pool, read, end, since) as rebuild:
        total = await session.log.count_events()
        await _fold(rebuild, total, quiet=json)
        differences = await rebuild.compare_and_swap(swap=swap)
    took_s = time.monotonic() - began
    found = _Found(
        events=rebuild.folded,
        seconds=round(took_s, 3),
        registry=restored,
        swap=swap,
        views=differences,
    )
    _tell(found, json=json)
    if not swap and not found.same:
        raise typer.Exit(ExitCode.FAILED)


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found: differences of views, events that the registry lacked."""

    events: int
    seconds: float
    registry: int
    swap: bool
    views: Sequence[Difference]

    @property
    def same(self) -> bool:
        """Tell whether everything was as the log says."""
        return not self.registry and all(view.is_none for view in self.views)


async def _registry(session: Session, *, swap: bool) -> int:
    """Return how many events the registry lacks; `swap` puts them in.

    On Postgres the registry lies beside the log: neither is there without the other.
    """
    if not isinstance(session.log, KafkaReader):
        return 0
    store = EventStore(session.url)
    await store.open()
    try:
        if swap:
            return await registry_relay.restore(store, session.log.log)
        return len(await registry_relay.missing(store, session.log.log))
    finally:
        await store.close()


async def _fold(rebuild: Rebuild, total: int, *, quiet: bool) -> None:
    with EventsBar("replaying", total, quiet=quiet) as bar:
        await rebuild.catch_up(bar.reach)
        await asyncio.sleep(0)


def _tell(found: _Found, *, json: bool) -> None:
    if json:
        said: dict[str, Any] = {
            "events": found.events,
            "seconds": found.seconds,
            "same": found.same,
            "swapped": found.swap and not found.same,
            "registry": found.registry,
            "views": [msgspec.to_builtins(d) for d in found.views],
        }
        sys.stdout.write(msgspec.json.encode(said).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    rate = found.events / max(found.seconds, 0.001)
    console.print(
        f"replayed {found.events:,} events in {found.seconds:.1f} s ({rate:,.0f}/s)"
    )
    if found.registry:
        console.print(f"[red]registry[/]: {found.registry:,} events only on the log")
    for view in found.views:
        if view.is_none:
            continue
        console.print(
            f"[red]{view.table}[/]: {view.only_live} rows only live, "
            f"{view.only_rebuilt} only rebuilt"
        )
        for line in view.samples:
            console.print(f"  {line}", markup=False)
    if found.same:
        console.print("the live views are what the log says")
    elif found.swap:
        console.print("what the log says is in place")
    else:
        console.print("`flightlog replay --swap` puts what the log says in place")

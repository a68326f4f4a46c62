"""`flightlog replay`: rebuilds the read models, compares them, swaps them in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec
import typer
from rich.console import Console

from gateway.bootstrap.logs import open_store
from gateway.cli.errors import ExitCode
from gateway.cli.json_output import print_json, to_object
from gateway.cli.session.progress_bar import EventsBar
from gateway.cli.session.session import Session
from gateway.cli.session.start_position import parse_start
from infra.eventlog.contract import Pages, Positions
from infra.eventlog.kafka.reader import KafkaReader
from projections.migrate import migrate
from projections.projector.rebuild import Difference, Rebuild, open_rebuild
from schemas import topics
from schemas.json_types import JsonObject
from workers.operations import registry_relay


async def run(session: Session, begin: str | None, *, swap: bool, json: bool) -> None:
    """Rebuild the read models and compare; exits with 1 if they differ.

    With `swap` the rebuilt rows replace the live ones in one transaction. `begin` is a
    time or a position: executions created before are left out.
    """
    since = None if begin is None else await parse_start(session, begin)

    def read(after: Positions, end: Positions) -> Pages:
        return session.log.read_range(end, topics.EVENTS, after)

    if session.is_down or session.settings.kafka.bootstrap_servers:
        await asyncio.to_thread(migrate, session.url)  # no engine may have done so
    restored = await _registry(session, swap=swap)
    began = time.monotonic()
    end = await session.log.end_positions((topics.EVENTS,))
    async with open_rebuild(
        session.url, session.pool, read, end, since, session.projections
    ) as rebuild:
        total = await session.log.count_events()
        await _fold(rebuild, total, quiet=json)
        differences = await rebuild.compare_and_swap(swap=swap)
    took_s = time.monotonic() - began
    found = _Found(
        events=rebuild.folded,
        seconds=round(took_s, 3),
        registry=restored,
        swap=swap,
        read_models=differences,
    )
    _print(found, json=json)
    if not swap and not found.same:
        raise typer.Exit(ExitCode.FAILED)


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a replay; `registry` counts events that the registry lacked."""

    events: int
    seconds: float
    registry: int
    swap: bool
    read_models: Sequence[Difference]

    @property
    def same(self) -> bool:
        """Return whether the registry and all read models match the log."""
        return not self.registry and all(found.is_none for found in self.read_models)


async def _registry(session: Session, *, swap: bool) -> int:
    """Return how many events the registry lacks; with `swap` they are restored.

    With the log on Postgres, the registry is stored beside it: nothing can be missing.
    """
    if not isinstance(session.log, KafkaReader):
        return 0
    async with open_store(session.url) as store:
        if swap:
            return await registry_relay.restore(store, session.log.log)
        return len(await registry_relay.missing_events(store, session.log.log))


async def _fold(rebuild: Rebuild, total: int, *, quiet: bool) -> None:
    with EventsBar("replaying", total, quiet=quiet) as bar:
        await rebuild.catch_up(bar.reach)
        await asyncio.sleep(0)


def _print(found: _Found, *, json: bool) -> None:
    if json:
        result: JsonObject = {
            "events": found.events,
            "seconds": found.seconds,
            "same": found.same,
            "swapped": found.swap and not found.same,
            "registry": found.registry,
            "read_models": [to_object(difference) for difference in found.read_models],
        }
        print_json(result)
        return
    console = Console(highlight=False, soft_wrap=True)
    rate = found.events / max(found.seconds, 0.001)
    console.print(
        f"replayed {found.events:,} events in {found.seconds:.1f} s ({rate:,.0f}/s)"
    )
    if found.registry:
        console.print(f"[red]registry[/]: {found.registry:,} events are missing")
    for difference in found.read_models:
        if difference.is_none:
            continue
        console.print(
            f"[red]{difference.table}[/]: {difference.only_live} rows only live, "
            f"{difference.only_rebuilt} only rebuilt"
        )
        for line in difference.samples:
            console.print(f"  {line}", markup=False)
    if found.same:
        console.print("the live read models match the log")
    elif found.swap:
        console.print("the rebuilt rows are live now")
    else:
        console.print("`flightlog replay --swap` makes the rebuilt rows live")

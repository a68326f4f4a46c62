"""`flightlog replay`: views folded anew from the log, compared, put in place."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from gateway.commands.failing import ExitCode
from gateway.commands.session import Session
from infra.log import Received
from projections.schema import migrate
from projections.shadow import Difference, Shadow, shadowed


async def run(session: Session, *, swap: bool, json: bool) -> None:
    """Rebuild beside the live views and compare; exits with 1 where they differ.

    With `swap` the rebuilt rows take the live ones' place, in one transaction.
    """

    def follow(after: int) -> AsyncIterator[Sequence[Received]]:
        return session.log.follow(after)

    if session.is_down:  # nobody else brings an older engine's tables up to date
        await asyncio.to_thread(migrate, session.url)
    began = time.monotonic()
    async with shadowed(session.url, session.pool, follow) as shadow:
        total = await session.log.count_events()
        await _fold(shadow, total, quiet=json)
        differences = await shadow.settle(swap=swap)
    took_s = time.monotonic() - began
    _tell(differences, shadow.folded, took_s, swap=swap, json=json)
    if not swap and any(not d.is_none for d in differences):
        raise typer.Exit(ExitCode.FAILED)


async def _fold(shadow: Shadow, total: int, *, quiet: bool) -> None:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} facts/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )
    began = time.monotonic()
    with bar:
        task = bar.add_task("replaying", total=total, rate="…")

        def progress(count: int) -> None:
            rate = count / max(time.monotonic() - began, 0.001)
            bar.update(task, completed=count, rate=f"{rate:,.0f}")

        await shadow.catch_up(progress)
        await asyncio.sleep(0)


def _tell(
    differences: Sequence[Difference],
    folded: int,
    took_s: float,
    *,
    swap: bool,
    json: bool,
) -> None:
    same = all(d.is_none for d in differences)
    if json:
        found: dict[str, Any] = {
            "events": folded,
            "seconds": round(took_s, 3),
            "same": same,
            "swapped": swap and not same,
            "views": [msgspec.to_builtins(d) for d in differences],
        }
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    rate = folded / max(took_s, 0.001)
    console.print(f"replayed {folded:,} facts in {took_s:.1f} s ({rate:,.0f}/s)")
    for view in differences:
        if view.is_none:
            continue
        console.print(
            f"[red]{view.table}[/]: {view.only_live} rows only live, "
            f"{view.only_rebuilt} only rebuilt"
        )
        for line in view.samples:
            console.print(f"  {line}", markup=False)
    if same:
        console.print("the live views are what the log says")
    elif swap:
        console.print("the rebuilt rows are in place")
    else:
        console.print("`flightlog replay --swap` puts the rebuilt rows in place")

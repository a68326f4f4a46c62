"""`flightlog verify`: the log checked by itself, and the views against the log."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gateway.commands.failing import ExitCode
from gateway.commands.session import Session
from projections import queries
from schemas import topics
from workers.audit import Audit, Finding

_SHOWN_MAX = 100


async def run(session: Session, *, json: bool) -> None:
    """Check every fact, and each execution's phase in the views.

    Exits with 1 where something is wrong.
    """
    phases = await queries.phases(session.pool)
    audit, findings = await _audited(session, quiet=json)
    findings += audit.end()
    findings += _against_views(audit, phases)
    if json:
        found: dict[str, Any] = {
            "facts": audit.facts,
            "executions": audit.executions,
            "findings": [msgspec.to_builtins(f) for f in findings],
        }
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        _print(audit, findings)
    if findings:
        raise typer.Exit(ExitCode.FAILED)


async def _audited(session: Session, *, quiet: bool) -> tuple[Audit, list[Finding]]:
    audit, findings = Audit(), list[Finding]()
    total = await session.log.count_events()
    end = await session.log.end((topics.EVENTS,))
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        disable=quiet,
        transient=True,
    )
    with bar:
        task = bar.add_task("verifying", total=total)
        if not total:
            return audit, findings
        async for page in session.log.upto(end):
            for received in page:
                findings += audit.take(received)
            bar.advance(task, len(page))
    return audit, findings


def _against_views(audit: Audit, shown: dict[str, str]) -> list[Finding]:
    """Return the executions whose view lacks, or is ahead of the log's truth.

    The views were read first: a phase that is behind will follow, one that the log
    never had won't.
    """
    told = audit.phases()
    return [
        Finding(at=stream, what="Expected facts of this execution, but there are none")
        for stream in shown
        if stream not in told
    ] + [
        Finding(
            at=stream,
            what=f"Expected the view to say {told[stream]}, but it says {phase}",
        )
        for stream, phase in shown.items()
        if stream in told and audit.contradicts(stream, phase)
    ]


def _print(audit: Audit, findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"checked {audit.facts:,} facts of {audit.executions:,} executions")
    for found in findings[:_SHOWN_MAX]:
        console.print(f"[red]{found.at}[/]: {found.what}")
    if len(findings) > _SHOWN_MAX:
        console.print(f"… and {len(findings) - _SHOWN_MAX} more")
    console.print(
        "[red]the log is not as it must be[/]" if findings else "all is as it must be"
    )

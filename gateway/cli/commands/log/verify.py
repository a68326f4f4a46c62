"""`flightlog verify`: checks the log, and the read models against it."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.console import Console

from gateway.cli.errors import ExitCode
from gateway.cli.json_output import print_json, to_object
from gateway.cli.session.progress_bar import EventsBar
from gateway.cli.session.session import Session
from gateway.cli.session.start_position import parse_start
from projections.projector.start_position import ReplayStart
from projections.queries import streams
from schemas import topics
from workers.operations.audit import Audit, Finding

_SHOWN_MAX = 100


async def run(session: Session, begin: str | None, *, json: bool) -> None:
    """Check every event, and each execution's phase in the read models.

    Exits with 1 if anything is wrong. `begin` is a time or a position: executions
    created before are left out.
    """
    since = None if begin is None else await parse_start(session, begin)
    phases = await streams.phases(session.pool, session.projections)
    audit, findings = await _audited(session, since, quiet=json)
    findings += audit.end()
    if since is not None:
        phases = {s: phase for s, phase in phases.items() if s in since.streams}
    findings += _against_read_models(audit, phases)
    if json:
        print_json(
            {
                "events": audit.events,
                "streams": audit.streams,
                "findings": [to_object(finding) for finding in findings],
            }
        )
    else:
        _print(audit, findings)
    if findings:
        raise typer.Exit(ExitCode.FAILED)


async def _audited(
    session: Session, since: ReplayStart | None, *, quiet: bool
) -> tuple[Audit, list[Finding]]:
    audit, findings = Audit(session.kinds), list[Finding]()
    total = await session.log.count_events()
    end = await session.log.end_positions((topics.EVENTS,))
    after = {} if since is None else since.positions
    done = 0
    with EventsBar("verifying", total, quiet=quiet) as bar:
        if not total:
            return audit, findings
        async for page in session.log.read_range(end, topics.EVENTS, after):
            for received in page if since is None else since.select(page):
                findings += audit.take(received)
            done += len(page)
            bar.reach(done)
    return audit, findings


def _against_read_models(audit: Audit, shown: dict[str, str]) -> list[Finding]:
    """Return the executions whose read model contradicts the log.

    The read models were read first: a phase that is behind will follow, one that the
    log never had won't.
    """
    logged = audit.phases()
    return [
        Finding(at=stream, what="Expected events of this stream, but there are none")
        for stream in shown
        if stream not in logged
    ] + [
        Finding(
            at=stream,
            what=f"Expected the read model to be {logged[stream]}, but it is {phase}",
        )
        for stream, phase in shown.items()
        if stream in logged and audit.contradicts(stream, phase)
    ]


def _print(audit: Audit, findings: Sequence[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"checked {audit.events:,} events of {audit.streams:,} streams")
    for found in findings[:_SHOWN_MAX]:
        console.print(f"[red]{found.at}[/]: {found.what}")
    if len(findings) > _SHOWN_MAX:
        console.print(f"… and {len(findings) - _SHOWN_MAX} more")
    console.print(
        "[red]the log is inconsistent[/]" if findings else "the log is consistent"
    )

"""`flightlog passed-over`: lists and redrives what the read models can't hold."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session, short_name
from projections.projector import redrive as projector
from projections.queries.streams import passed_over
from projections.rows import PassedOverRow
from schemas.json_types import JsonObject


async def show_all(session: Session, *, json: bool) -> None:
    """Print the streams that are passed over, the first one first."""
    found = await passed_over(session.pool)
    if json:
        for row in found:
            print_json(as_json(row))
    elif not found:
        typer.echo("no executions are passed over")
    else:
        for row in found:
            typer.echo(line(row))


async def redrive(
    session: Session, names: Sequence[str], *, every: bool, json: bool
) -> None:
    """Redrive streams; exits with 1 if one of them still can't be applied."""
    if every == bool(names):
        raise CommandError("Expected executions, or --all", ExitCode.USAGE)
    passed = [row.stream for row in await passed_over(session.pool)]
    streams = passed if every else [await session.stream(name) for name in names]
    for stream in streams:
        if stream not in passed:
            raise CommandError(
                f"Expected {short_name(stream)} to be passed over, but it isn't"
            )
    found = {
        stream: await projector.redrive(
            session.pool, session.log.stream, stream, session.projections
        )
        for stream in streams
    }
    redriven = [stream for stream, error in found.items() if not error]
    left = {stream: error for stream, error in found.items() if error}
    if json:
        print_json({"redriven": [*redriven], "left": {**left}})
    else:
        typer.echo(f"redrove {len(redriven)} executions")
        for stream, error in left.items():
            typer.echo(f"{short_name(stream)} is still passed over: {error}")
    if left:
        raise typer.Exit(ExitCode.FAILED)


def as_json(row: PassedOverRow) -> JsonObject:
    """Return a stream that is passed over as commands print it."""
    return {
        "stream": row.stream,
        "sequence": row.sequence,
        "error": row.error,
        "since": row.since.isoformat(),
    }


def line(row: PassedOverRow) -> str:
    """Return a stream that is passed over as one line."""
    at = row.since.isoformat(sep=" ", timespec="seconds")
    return f"{short_name(row.stream)}  event {row.sequence}, since {at}: {row.error}"

"""`flightlog notify list` and `redrive`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session, short_name
from infra.clock import SYSTEM_CLOCK
from projections.notification_rows import DeliveryRow, DeliveryState
from projections.queries import deliveries
from projections.views.changes import time_of
from schemas.json_types import JsonObject


async def show(
    session: Session, execution: str | None, *, dead: bool, limit: int, json: bool
) -> None:
    """Print deliveries, the newest first."""
    stream = await session.stream(execution) if execution else ""
    state = DeliveryState.DEAD if dead else None
    found = await deliveries.list_deliveries(session.pool, stream, state, limit)
    if json:
        for row in found:
            print_json(_as_json(row))
    elif not found:
        typer.echo("no deliveries")
    else:
        for row in found:
            typer.echo(_line(row))


async def redrive(
    session: Session,
    ids: Sequence[str],
    channels: Sequence[str],
    *,
    every: bool,
    json: bool,
) -> None:
    """Make deliveries that weren't sent due again; exits with 1 if one can't be."""
    if every == bool(ids):
        raise CommandError("Expected deliveries, or --all", ExitCode.USAGE)
    now = time_of(SYSTEM_CLOCK.now_us())
    found: list[str] = []
    for one in ids or ("",):
        redriven = await deliveries.redrive(session.pool, one, channels, now)
        if one and not redriven:
            raise CommandError(
                f"Expected {one} to be a delivery that was given up, of a channel that "
                "is set, but it isn't"
            )
        found += redriven
    if json:
        print_json({"redriven": [*found]})
    else:
        typer.echo(f"{len(found)} deliveries are due again")


def _line(row: DeliveryRow) -> str:
    at = row.due_at.isoformat(sep=" ", timespec="seconds")
    again = " (maybe twice)" if row.maybe_repeated else ""
    why = f"  {row.reason}" if row.reason else ""
    what = f"{row.channel}  {row.action}  {row.state}{again}  {row.tries} tries"
    return f"{at}  {short_name(row.stream)}  {what}  {row.rule}{why}\n  {row.id}"


def _as_json(row: DeliveryRow) -> JsonObject:
    return {
        "id": row.id,
        "channel": row.channel,
        "rule": row.rule,
        "stream": row.stream,
        "action": row.action,
        "state": row.state,
        "tries": row.tries,
        "due_at": row.due_at.isoformat(),
        "sent_at": row.sent_at.isoformat() if row.sent_at else None,
        "reason": row.reason,
        "maybe_repeated": row.maybe_repeated,
    }

"""`flightlog state`: the state of a stream as of any of its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.commands.log.events import instant, not_found
from gateway.cli.errors import CommandError
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session
from schemas.json_types import JsonObject
from schemas.messages.node_events import Event
from workers.propeller.kinds.contract import AnyKind, C, StreamKind, X
from workers.propeller.kinds.rules import E, FoldedState, S

_WIDTH = 200
"""Width of a table that is written to a file or a pipe."""


@dataclass(frozen=True, slots=True)
class Folded(Generic[S]):
    """A state, and the sequence and time of its last event."""

    state: S
    sequence: int = 0
    recorded_at_us: int = 0


async def fold(
    session: Session, kind: StreamKind[C, E, S, X], stream: str, at: int | None = None
) -> Folded[S]:
    """Return the state of a stream of a kind as of a sequence, or as of now."""
    folded, evolve = Folded(kind.decider.initial), kind.decider.evolve
    async for page in session.log.stream(stream):
        for received in page:
            if at is not None and received.envelope.sequence > at:
                return folded
            event = session.kinds.messages.decode_as(received.body, Event)
            folded = Folded(
                evolve(folded.state, event),  # type: ignore[arg-type]  # of this kind
                received.envelope.sequence,
                received.envelope.recorded_at_us,
            )
    return folded


async def show(session: Session, text: str, at: int | None, *, json: bool) -> None:
    """Print a stream's state."""
    stream = await session.stream(text)
    kind = session.kinds.of(stream)
    folded = await fold(session, kind, stream, at)
    if not folded.sequence:
        raise not_found(stream)
    if at is not None and folded.sequence < at:
        raise CommandError(
            f"Expected an event {at} of {stream}, but the last one is {folded.sequence}"
        )
    if json:
        print_json(as_json(kind, stream, folded))
    else:
        _print(kind, stream, folded)


def as_json(kind: AnyKind, stream: str, folded: Folded[FoldedState]) -> JsonObject:
    """Return a state as `--json` prints it."""
    return {
        kind.prefix: kind.name_of(stream),
        "sequence": folded.sequence,
        "time": instant(folded.recorded_at_us),
        "phase": kind.phase(folded.state),
        **kind.to_json(folded.state),
    }


def _print(kind: AnyKind, stream: str, folded: Folded[FoldedState]) -> None:
    console, state = Console(highlight=False, soft_wrap=True), folded.state
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(
        f"[bold]{kind.name_of(stream)}[/] is [bold]{kind.phase(state)}[/] as of event "
        f"{folded.sequence} ({instant(folded.recorded_at_us)})"
    )
    if state.parked is not None:
        console.print(
            f"[red]parked[/]: {state.parked.command_type} could not be handled: "
            f"{escape(state.parked.error)}; 'flightlog dead-letters redrive' resumes it"
        )
    described = kind.describe(state)
    for line in described.lines:
        console.print(escape(line))
    if described.heading:
        table = Table(box=None, header_style="dim")
        for heading in described.heading:
            table.add_column(heading, no_wrap=True)
        for row in described.rows:
            table.add_row(*row)
        console.print(table)

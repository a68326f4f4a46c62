"""`flightlog events`: prints events as lines of text or JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.text import Text

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session, short_name
from infra.eventlog.contract import Received
from schemas import topics
from schemas.json_types import JsonObject
from schemas.messages.node_events import Event
from schemas.messages.outcomes import CommandHadNoEffect, CommandRejected
from schemas.wire import codec
from schemas.wire.codec import UndecodableMessageError

Decoded = tuple[Received, msgspec.Struct]
"""A record of the log, and its message."""
_GOOD = ("Succeeded",)
_BAD = ("Failed", "Aborted", "TimedOut", "Rejected")


class Undecodable(msgspec.Struct, frozen=True):
    """What is shown instead of a message that this version can't decode."""

    error: str


def as_json(received: Received, message: msgspec.Struct) -> JsonObject:
    """Return an event as `--json` prints it."""
    envelope = received.envelope
    return {
        "id": envelope.id,
        "type": envelope.type,
        "stream": envelope.stream,
        "sequence": envelope.sequence,
        "time": instant(envelope.recorded_at_us),
        "correlation": envelope.correlation,
        "causation": envelope.causation,
        "data": codec.to_json(message),
    }


def instant(at_us: int) -> str:
    """Return a time as RFC 3339 text, UTC."""
    seconds, micros = divmod(at_us, 1_000_000)
    at = datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=micros)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


class Printer:
    """Prints events, one per line."""

    def __init__(self, session: Session, *, json: bool, streams: bool = False) -> None:
        """Print JSON or text; `streams` adds the stream of each event."""
        self._projections = session.projections
        self._json = json
        self._streams = streams
        self._console = Console(soft_wrap=True, highlight=False)

    def print(self, events: Iterable[Decoded]) -> None:
        """Print events."""
        for received, message in events:
            if self._json:
                print_json(as_json(received, message))
            else:
                self._console.print(self._line(received, message))
        sys.stdout.flush()

    def _line(self, received: Received, message: msgspec.Struct) -> Text:
        envelope = received.envelope
        kind = envelope.type.rpartition(".")[2]
        style = (
            "green" if kind.endswith(_GOOD) else "red" if kind.endswith(_BAD) else ""
        )
        text = Text()
        if self._streams:
            text.append(short_name(envelope.stream) + " ", style="cyan")
        text.append(f"{envelope.sequence:>5} ", style="dim")
        text.append(instant(envelope.recorded_at_us)[11:23] + " ", style="dim")
        text.append(f"{kind:<20} ", style=style)
        subject, summary = self._described(envelope.stream, message)
        text.append(f"{subject:<22} ", style="bold")
        text.append(summary)
        return text

    def _described(self, stream: str, message: msgspec.Struct) -> tuple[str, str]:
        """Return what a message is about, and what it says, in one line."""
        match message:
            case CommandRejected():
                return "", f"{message.reason}: {message.detail}"
            case Undecodable():
                return "", message.error
            case CommandHadNoEffect():
                return "", message.command_type.rpartition(".")[2]
            case Event():
                projection = self._projections.of(stream)
                return projection.subject(message), projection.summary(message)
            case _:
                return "", ""


def decoded(session: Session, page: Iterable[Received]) -> list[Decoded]:
    """Return records with their decoded messages, or why they can't be decoded."""
    return [(received, _decoded(session, received)) for received in page]


def _decoded(session: Session, received: Received) -> msgspec.Struct:
    try:
        return session.kinds.messages.decode(received.body)
    except UndecodableMessageError as error:
        return Undecodable(error=str(error))


async def show(session: Session, text: str, *, json: bool) -> None:
    """Print every event of a stream."""
    stream = await session.stream(text)
    printer, count = Printer(session, json=json), 0
    async for page in session.log.stream(stream):
        printer.print(decoded(session, page))
        count += len(page)
    if not count:
        raise not_found(stream)


async def tail(
    session: Session, text: str | None, *, json: bool, from_start: bool
) -> None:
    """Print events as they are written: of one stream until it ends, or of all."""
    if session.is_down:
        raise CommandError(
            "Expected an engine whose events can be followed, but none is running; "
            "'flightlog events show' prints existing events",
            ExitCode.NO_ENGINE,
        )
    if text is None:
        after = {} if from_start else await session.log.end_positions((topics.EVENTS,))
        printer = Printer(session, json=json, streams=True)
        async for page in session.log.follow(after):
            printer.print(decoded(session, page))
        return
    stream = await session.stream(text)
    printer, closing = Printer(session, json=json), session.kinds.of(stream).closing
    async for page in session.log.follow_stream(stream):
        events = decoded(session, page)
        printer.print(events)
        if type(events[-1][1]) in closing.events:
            return


def not_found(stream: str) -> CommandError:
    """Return the error for a stream without events."""
    kind, _, name = stream.partition("/")
    return CommandError(f"Expected {kind} {name} to exist, but it doesn't")

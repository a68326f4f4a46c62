"""`flightlog dead-letters`: lists, shows and redrives dead letters."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from gateway.cli.commands.log.events import instant
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.redrive_client import request_redrive
from gateway.cli.session.session import Session, short_name
from gateway.cli.session.writable_log import open_log
from schemas import topics
from schemas.json_types import JsonObject
from schemas.wire import codec
from workers.operations.redrive import (
    PAGE,
    Redriven,
    StoredDeadLetter,
    stored_dead_letters,
)

_ERROR_SHOWN = 100


async def show_all(
    session: Session, text: str | None, *, redriven: bool, json: bool
) -> None:
    """Print the dead letters of a stream or of all."""
    found = [kept for kept in await _letters(session) if redriven or not kept.redriven]
    if text is not None:
        stream = await session.stream(text)
        found = [kept for kept in found if kept.letter.stream == stream]
    if json:
        for kept in found:
            print_json(_short(kept))
        return
    if not found:
        typer.echo("no dead letters")
        return
    console = Console(highlight=False, soft_wrap=True)
    for kept in found:
        dead = kept.letter
        line = Text(f"{kept.id.removeprefix('flightlog.'):<18} ")
        line.append(instant(dead.occurred_at_us)[:19] + " ", style="dim")
        line.append(f"{dead.type.rpartition('.')[2] or '?':<20} ", style="bold")
        line.append((short_name(dead.stream) or "?") + " ", "cyan")
        line.append(_state(kept) + _first_line(dead.error))
        console.print(line)


async def show(session: Session, letter_id: str, *, json: bool) -> None:
    """Print one dead letter."""
    kept = _named(await _letters(session), letter_id)
    dead = kept.letter
    shown: JsonObject = {
        **_short(kept),
        "partition": dead.partition,
        "position": dead.position,
        "key": dead.key,
        "correlation": dead.correlation,
        "causation": dead.causation,
        "actor": dead.actor,
        "sent": instant(dead.sent_at_us),
        "bytes": base64.b64encode(dead.body).decode(),
    }
    try:
        message = session.kinds.messages.decode(dead.body)
    except codec.UndecodableMessageError as error:
        shown["unreadable"] = str(error)
    else:
        shown["data"] = codec.to_json(message)
    if json:
        print_json(shown)
        return
    console = Console(highlight=False, soft_wrap=True)
    for name, value in shown.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        console.print(f"[bold]{name:<12}[/]", end="")
        console.print(text, markup=False)


async def redrive(
    session: Session, names: Sequence[str], *, every: bool, json: bool
) -> None:
    """Redrive dead letters in order; exits with 1 if a stream is parked again."""
    if every == bool(names):
        raise CommandError(
            "Expected executions or ids of dead letters, or --all", ExitCode.USAGE
        )
    found = [kept for kept in await _letters(session) if not kept.redriven]
    ids = [_named(found, name).id for name in names if _is_letter(name)]
    streams = [await session.stream(name) for name in names if not _is_letter(name)]
    if every:
        streams = [kept.letter.stream for kept in found]
    done = await request_redrive(session, streams, ids)
    if json:
        print_json(done)
    else:
        _print(done)
    if done.parked_again or not done.redriven:
        raise typer.Exit(ExitCode.FAILED)


def _print(done: Redriven) -> None:
    typer.echo(f"redrove {len(done.redriven)} dead letters")
    if done.left:
        typer.echo(f"left {len(done.left)} that this version can't decode")
    if done.refused:
        typer.echo(
            f"refused {len(done.refused)}: their parents were told that they failed"
        )
    for stream in done.parked_again:
        typer.echo(f"{short_name(stream)} is parked again")


async def _letters(session: Session) -> list[StoredDeadLetter]:
    async with open_log(session) as log:
        return await stored_dead_letters(log.read_to_end(topics.DEAD_LETTERS, {}, PAGE))


def _named(found: Sequence[StoredDeadLetter], name: str) -> StoredDeadLetter:
    for kept in found:
        if kept.id == _full_id(name):
            return kept
    raise CommandError(f"Expected dead letter '{name}' to exist, but it doesn't")


def _is_letter(name: str) -> bool:
    topic, *places = _full_id(name).split("/")
    return topic in {topics.COMMANDS, topics.DISPATCHES} and all(
        place.isdigit() for place in places
    )


def _full_id(name: str) -> str:
    return name if name.startswith("flightlog.") else f"flightlog.{name}"


def _short(kept: StoredDeadLetter) -> JsonObject:
    dead = kept.letter
    return {
        "dead_letter": kept.id,
        "redriven": kept.redriven,
        "time": instant(dead.occurred_at_us),
        "topic": dead.topic,
        "stream": dead.stream,
        "id": dead.id,
        "type": dead.type,
        "error": dead.error,
        "answered": dead.answered,
    }


def _state(kept: StoredDeadLetter) -> str:
    if kept.letter.answered:
        return f"answered to {short_name(kept.letter.answered)}; "
    return "redriven; " if kept.redriven else ""


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _ERROR_SHOWN else line[: _ERROR_SHOWN - 1] + "…"

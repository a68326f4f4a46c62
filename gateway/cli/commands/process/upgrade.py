"""`flightlog upgrade`: shows the version gate, and opens it."""

from __future__ import annotations

import getpass

import typer
from rich.console import Console

from gateway.cli.errors import CommandError
from gateway.cli.json_output import print_json, to_object
from gateway.cli.session.session import Session
from gateway.version import version
from infra.postgres.format_gate import FormatGate
from schemas.json_types import JsonValue
from schemas.levels import FORMAT_LEVEL


async def status(session: Session, *, json: bool) -> None:
    """Print the open level, the newest one, and the processes that run."""
    gate = _gate(session)
    level, processes = await gate.read(), await gate.running()
    if json:
        found: list[JsonValue] = [to_object(process) for process in processes]
        newest = FORMAT_LEVEL
        print_json({"open_level": level, "newest_level": newest, "processes": found})
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Format level {level} is open; this version knows {FORMAT_LEVEL}")
    for process in processes:
        console.print(f"  level {process.level}  {process.text()}")


async def open_level(session: Session, *, json: bool) -> None:
    """Open the newest level; raises CommandError while older processes run."""
    gate = _gate(session)
    level = await gate.read()
    if level > FORMAT_LEVEL:
        raise CommandError(
            f"Expected a version that knows format level {level}, which is open, but "
            f"flightlog {version()} knows {FORMAT_LEVEL}"
        )
    older = await gate.open(f"operator {getpass.getuser()}")
    if older:
        names = ", ".join(process.text() for process in older)
        raise CommandError(
            f"Expected every process to know format level {FORMAT_LEVEL}, but these "
            f"don't: {names}"
        )
    if json:
        print_json({"open_level": FORMAT_LEVEL, "was_open": level == FORMAT_LEVEL})
        return
    how = "was open already" if level == FORMAT_LEVEL else "is open"
    typer.echo(f"Format level {FORMAT_LEVEL} {how}")


def _gate(session: Session) -> FormatGate:
    return FormatGate(session.pool, session.settings.upgrade, "cli", version())

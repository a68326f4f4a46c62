"""`flightlog delete`: an execution goes, with its blobs and its children."""

from __future__ import annotations

import asyncio
import getpass
import sys
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

import msgspec
import typer

from gateway.commands.failing import CommandFailed, ExitCode
from gateway.commands.session import Session
from gateway.data_dir import EngineAddress
from gateway.deletion_routes import PATH
from schemas.ids import ExecutionRef

_ASK_S = 60.0


async def delete(session: Session, text: str, *, json: bool) -> None:
    """Ask the running engine, which alone may append, to delete an execution."""
    ref = await session.execution(text)
    engine = session.data.address()
    if engine is None:
        words = "Expected an engine that runs, but there is none to delete anything"
        raise CommandFailed(words, ExitCode.NO_ENGINE)
    done = await asyncio.to_thread(_ask, engine, ref)
    if json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    elif done["deleted"]:
        typer.echo(f"deleted {ref.text()}")
    else:
        typer.echo(f"{ref.text()} was deleted before")


def _ask(engine: EngineAddress, ref: ExecutionRef) -> dict[str, Any]:
    connection = HTTPConnection(engine.host, engine.http_port, timeout=_ASK_S)
    who = urlencode({"principal": getpass.getuser()})
    try:
        with closing(connection):
            connection.request("DELETE", f"{PATH}/{ref.text()}?{who}")
            answer = connection.getresponse()
            body = answer.read()
    except (HTTPException, OSError) as error:
        raise CommandFailed(f"Expected the engine to answer, but: {error}") from error
    found: dict[str, Any] = msgspec.json.decode(body)
    if answer.status != HTTPStatus.OK:
        raise CommandFailed(str(found.get("message", found)))
    return found

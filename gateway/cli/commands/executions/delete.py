"""`flightlog delete`: an execution goes, with its blobs and its children."""

from __future__ import annotations

import asyncio
import getpass
import sys
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import typer

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.session.session import Session
from gateway.rest.routes.deletion import PATH
from schemas.ids import ExecutionRef

_ASK_S = 60.0


async def delete(session: Session, text: str, *, json: bool) -> None:
    """Ask a running engine, which alone may append, to delete an execution.

    Where its parts are processes of their own, its gateway is asked at `gateway.url`.
    """
    ref = await session.execution(text)
    engine = session.data.address()
    base = engine.http if engine is not None else session.settings.gateway.url
    if not base:
        words = "Expected an engine that runs, but there is none to delete anything"
        raise CommandError(words, ExitCode.NO_ENGINE)
    done = await asyncio.to_thread(_ask, base, ref)
    if json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    elif done["deleted"]:
        typer.echo(f"deleted {ref.text()}")
    else:
        typer.echo(f"{ref.text()} was deleted before")


def _ask(base: str, ref: ExecutionRef) -> dict[str, Any]:
    door = urlsplit(base)
    is_tls = door.scheme == "https"
    connect = HTTPSConnection if is_tls else HTTPConnection
    who = urlencode({"principal": getpass.getuser()})
    path = f"{door.path.rstrip('/')}{PATH}/{ref.text()}?{who}"
    try:
        with closing(connect(door.netloc, timeout=_ASK_S)) as connection:
            connection.request("DELETE", path)
            answer = connection.getresponse()
            found: dict[str, Any] = msgspec.json.decode(answer.read())
    except (HTTPException, OSError, msgspec.DecodeError) as error:
        raise CommandError(f"Expected the engine to answer, but: {error}") from error
    if answer.status != HTTPStatus.OK:
        raise CommandError(str(found.get("message", found)))
    return found

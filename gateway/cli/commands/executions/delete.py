"""`flightlog delete`: deletes an execution, its blobs and its children."""

from __future__ import annotations

import asyncio
import getpass
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

import msgspec
import typer

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json
from gateway.cli.session.session import Session
from gateway.rest.routes.deletion import PATH
from schemas.ids import ExecutionRef
from schemas.json_types import JsonObject

_REQUEST_TIMEOUT_S = 60.0


async def delete(session: Session, text: str, *, json: bool) -> None:
    """Request the deletion from the running engine, the only writer of its log.

    With roles as processes the gateway at `gateway.public_url` is asked.
    """
    ref = await session.execution(text)
    engine = session.data.address()
    base = engine.http if engine is not None else session.settings.gateway.public_url
    if not base:
        text = "Expected a running engine to delete the execution, but there is none"
        raise CommandError(text, ExitCode.NO_ENGINE)
    done = await asyncio.to_thread(_request, base, ref)
    if json:
        print_json(done)
    elif done["deleted"]:
        typer.echo(f"deleted {ref.text()}")
    else:
        typer.echo(f"{ref.text()} was already deleted")


def _request(base: str, ref: ExecutionRef) -> JsonObject:
    gateway = urlsplit(base)
    is_tls = gateway.scheme == "https"
    connect = HTTPSConnection if is_tls else HTTPConnection
    who = urlencode({"principal": getpass.getuser()})
    path = f"{gateway.path.rstrip('/')}{PATH}/{ref.text()}?{who}"
    try:
        with closing(connect(gateway.netloc, timeout=_REQUEST_TIMEOUT_S)) as connection:
            connection.request("DELETE", path)
            response = connection.getresponse()
            found: JsonObject = msgspec.json.decode(response.read())
    except (HTTPException, OSError, msgspec.DecodeError) as error:
        raise CommandError(f"Cannot reach the engine at {base}: {error}") from error
    if response.status != HTTPStatus.OK:
        raise CommandError(str(found.get("message", found)))
    return found

"""Putting dead letters back: by the running engine, or on a log that nobody owns."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

import msgspec

from gateway.commands.failing import CommandFailed
from gateway.commands.session import Session
from gateway.commands.whole_log import open_log
from gateway.data_dir import EngineAddress
from gateway.redrive_routes import PATH, Asked, Redrive
from gateway.services import Clock
from infra.clock import SystemClock
from workers.operations.redrive import WAIT_S, Letters, Redriven, Redriver

_ASK_S = 60.0


def redriving(log: Letters, clock: Clock) -> Redrive:
    """Return what puts dead letters back, for commands beside an engine."""
    redriver = Redriver(log=log, now_us=clock.now_us)

    async def redrive(asked: Asked) -> Mapping[str, Any]:
        done = await redriver.redrive(asked.streams, asked.letters, asked.principal)
        found: dict[str, Any] = msgspec.to_builtins(done)
        return found

    return redrive


async def put_back(
    session: Session, streams: Sequence[str], ids: Sequence[str]
) -> Redriven:
    """Put letters back: a running embedded engine does it itself, as it alone may."""
    asked = Asked(streams=streams, letters=ids, principal=getpass.getuser())
    engine = session.data.address()
    if engine is not None and not session.settings.kafka.servers:
        return await asyncio.to_thread(_ask, engine, asked)
    wait_s = WAIT_S if session.settings.kafka.servers else 0.0
    async with open_log(session) as log:
        redriver = Redriver(log=log, now_us=SystemClock().now_us, wait_s=wait_s)
        return await redriver.redrive(streams, ids, asked.principal)


def _ask(engine: EngineAddress, asked: Asked) -> Redriven:
    connection = HTTPConnection(engine.host, engine.http_port, timeout=_ASK_S)
    try:
        with closing(connection):
            connection.request("POST", PATH, msgspec.json.encode(asked))
            answer = connection.getresponse()
            body = answer.read()
    except (HTTPException, OSError) as error:
        raise CommandFailed(f"Expected the engine to answer, but: {error}") from error
    if answer.status != HTTPStatus.OK:
        text = body.decode(errors="replace")
        raise CommandFailed(f"Expected the engine to put them back, but: {text}")
    return msgspec.json.decode(body, type=Redriven)

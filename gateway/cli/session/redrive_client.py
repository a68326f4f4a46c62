"""Redriving dead letters: by the running engine, or on a log without an owner."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Sequence
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import msgspec

from gateway.bootstrap.data_dir import EngineAddress
from gateway.cli.errors import CommandError
from gateway.cli.session.session import Session
from gateway.cli.session.writable_log import open_log
from gateway.services.redrive import PATH, RedriveBody
from infra.clock import SYSTEM_CLOCK
from workers.operations.redrive import WAIT_S, Redriven, Redriver

_REQUEST_TIMEOUT_S = 60.0


async def request_redrive(
    session: Session, streams: Sequence[str], ids: Sequence[str]
) -> Redriven:
    """Redrive dead letters; a running embedded engine, the log's owner, does it."""
    body = RedriveBody(streams=streams, dead_letters=ids, principal=getpass.getuser())
    engine = session.data.address()
    if engine is not None and not session.settings.kafka.bootstrap_servers:
        return await asyncio.to_thread(_request, engine, body)
    wait_s = WAIT_S if session.settings.kafka.bootstrap_servers else 0.0
    async with open_log(session) as log:
        redriver = Redriver(
            log=log,
            clock=SYSTEM_CLOCK,
            messages=session.kinds.messages,
            wait_s=wait_s,
        )
        return await redriver.redrive(streams, ids, body.principal)


def _request(engine: EngineAddress, body: RedriveBody) -> Redriven:
    connection = HTTPConnection(
        engine.host, engine.http_port, timeout=_REQUEST_TIMEOUT_S
    )
    try:
        with closing(connection):
            connection.request("POST", PATH, msgspec.json.encode(body))
            response = connection.getresponse()
            reply = response.read()
    except (HTTPException, OSError) as error:
        raise CommandError(f"Cannot reach the engine: {error}") from error
    if response.status != HTTPStatus.OK:
        text = reply.decode(errors="replace")
        raise CommandError(f"Expected the engine to redrive them, but: {text}")
    return msgspec.json.decode(reply, type=Redriven)

"""`flightlog status`: whether an engine runs on a data folder, and how it does."""

from __future__ import annotations

import asyncio
import json as json_text
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

import msgspec
import typer
from rich.console import Console

from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.cli.commands.log.topics import unread
from gateway.cli.errors import ExitCode
from gateway.cli.session.session import open_session
from infra.settings import Settings
from projections.queries import executions as queries

_PROBE_S = 3.0


async def show(settings: Settings, *, json: bool) -> None:
    """Print the engine's state; exits with 3 if there is none."""
    if settings.kafka.servers:
        await _show_roles(settings, json=json)
        return
    data = DataDir(settings.data_dir)
    engine = data.address()
    if engine is None:
        _tell({"running": False, "data_dir": str(data.path)}, json=json)
        raise typer.Exit(ExitCode.NO_ENGINE)
    found: dict[str, Any] = {
        "running": True,
        "ready": await probe(engine),
        "data_dir": str(data.path),
        **{k: v for k, v in msgspec.to_builtins(engine).items() if k != "postgres"},
    }
    async with open_session(settings) as session:
        found["executions"] = await queries.execution_counts(session.pool)
    _tell(found, json=json)


async def _show_roles(settings: Settings, *, json: bool) -> None:
    """Print how far roles are on what they share; each has a health of its own."""
    async with open_session(settings) as session:
        counts = await queries.execution_counts(session.pool)
        behind = await unread(settings)
    found = {"kafka": settings.kafka.servers, "unread": behind, "executions": counts}
    if json:
        typer.echo(json_text.dumps(found))
        return
    console = Console(highlight=False)
    console.print(f"Roles on Kafka at {settings.kafka.servers}")
    for topic, left in behind.items():
        console.print(f"  {topic}  {left} unread")
    _tell_counts(console, counts)


async def probe(engine: EngineAddress) -> bool:
    """Tell whether an engine says that it is ready."""
    try:
        return await asyncio.to_thread(_get, engine)
    except (HTTPException, OSError):
        return False


def _get(engine: EngineAddress) -> bool:
    connection = HTTPConnection(engine.host, engine.http_port, timeout=_PROBE_S)
    with closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK


def _tell(found: dict[str, Any], *, json: bool) -> None:
    if json:
        typer.echo(json_text.dumps(found))
        return
    console = Console(highlight=False)
    if not found["running"]:
        console.print(f"No engine runs on {found['data_dir']}")
        return
    how = "[green]ready[/]" if found["ready"] else "[yellow]not ready[/]"
    console.print(f"Flightlog {found['version']} is {how} (pid {found['pid']})")
    console.print(f"  gRPC  {found['host']}:{found['grpc_port']}")
    console.print(f"  HTTP  http://{found['host']}:{found['http_port']}")
    console.print(f"  data  {found['data_dir']}")
    _tell_counts(console, found["executions"])


def _tell_counts(console: Console, executions: Mapping[str, int]) -> None:
    counts = ", ".join(
        f"{number} {phase}" for phase, number in sorted(executions.items())
    )
    console.print(f"  executions  {counts or 'none yet'}")

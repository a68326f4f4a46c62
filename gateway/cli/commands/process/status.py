"""`flightlog status`: whether an engine is running, and its executions by phase."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import typer
from rich.console import Console

from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.cli.commands.log.topics import consumer_lag
from gateway.cli.errors import ExitCode
from gateway.cli.json_output import print_json, to_object
from gateway.cli.session.session import open_session
from infra.settings import Settings
from projections.queries.executions import execution_counts
from schemas.json_types import JsonObject

_PROBE_S = 3.0


async def show(settings: Settings, *, json: bool) -> None:
    """Print the engine's state; exits with 3 if there is none."""
    if settings.kafka.bootstrap_servers:
        await _show_roles(settings, json=json)
        return
    data = DataDir(settings.data_dir)
    engine = data.address()
    if engine is None:
        _print({"running": False, "data_dir": str(data.path)}, {}, json=json)
        raise typer.Exit(ExitCode.NO_ENGINE)
    address = to_object(engine)
    del address["postgres"]  # may hold a password
    found: JsonObject = {
        "running": True,
        "ready": await is_ready(engine),
        "data_dir": str(data.path),
        **address,
    }
    async with open_session(settings) as session:
        counts = await execution_counts(session.pool)
    _print(found, counts, json=json)


async def _show_roles(settings: Settings, *, json: bool) -> None:
    """Print the consumer lag and the executions; each role serves its own health."""
    async with open_session(settings) as session:
        counts = await execution_counts(session.pool)
        lag = await consumer_lag(settings)
    if json:
        print_json(
            {
                "kafka": settings.kafka.bootstrap_servers,
                "lag": {**lag},
                "executions": {**counts},
            }
        )
        return
    console = Console(highlight=False)
    console.print(f"Roles on Kafka at {settings.kafka.bootstrap_servers}")
    for topic, messages in lag.items():
        console.print(f"  {topic}  lag {messages}")
    _print_counts(console, counts)


async def is_ready(engine: EngineAddress) -> bool:
    """Return whether the health check of an engine succeeds."""
    try:
        return await asyncio.to_thread(_get, engine)
    except (HTTPException, OSError):
        return False


def _get(engine: EngineAddress) -> bool:
    connection = HTTPConnection(engine.host, engine.http_port, timeout=_PROBE_S)
    with closing(connection):
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK


def _print(found: JsonObject, counts: Mapping[str, int], *, json: bool) -> None:
    if json:
        print_json({**found, "executions": {**counts}} if found["running"] else found)
        return
    console = Console(highlight=False)
    if not found["running"]:
        console.print(f"No engine is running on {found['data_dir']}")
        return
    how = "[green]ready[/]" if found["ready"] else "[yellow]not ready[/]"
    console.print(f"Flightlog {found['version']} is {how} (pid {found['pid']})")
    console.print(f"  gRPC  {found['host']}:{found['grpc_port']}")
    console.print(f"  HTTP  http://{found['host']}:{found['http_port']}")
    console.print(f"  data  {found['data_dir']}")
    _print_counts(console, counts)


def _print_counts(console: Console, executions: Mapping[str, int]) -> None:
    counts = ", ".join(
        f"{number} {phase}" for phase, number in sorted(executions.items())
    )
    console.print(f"  executions  {counts or 'none yet'}")

"""`flightlog status`: whether an engine is running, and its executions by phase."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

import msgspec
import typer
from rich.console import Console

from gateway.bootstrap.data_dir import DataDir, EngineAddress
from gateway.cli.commands.log import passed_over, positions
from gateway.cli.commands.log.topics import consumer_lag
from gateway.cli.errors import ExitCode
from gateway.cli.json_output import print_json, to_object
from gateway.cli.session.session import Session, open_session
from infra.errors import Dependency, TransientError
from infra.postgres.failures import outages_are_transient
from infra.settings import Settings
from projections.queries import streams
from projections.queries.executions import execution_counts
from projections.rows import PassedOverRow
from schemas.json_types import JsonObject, JsonValue

_PROBE_S = 3.0
_ROWS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _Executions:
    """How many executions are in each phase, and which ones are passed over.

    There are no counts while Postgres can't be reached.
    """

    counts: Mapping[str, int] | None
    passed: Sequence[PassedOverRow] = ()

    def as_json(self) -> JsonObject:
        passed = [passed_over.as_json(row) for row in self.passed]
        counts: JsonValue = None if self.counts is None else {**self.counts}
        return {"executions": counts, "passed_over": [*passed]}


_NONE = _Executions({})
_UNKNOWN = _Executions(None)


async def _executions(session: Session) -> _Executions:
    return _Executions(
        await execution_counts(session.pool), await streams.passed_over(session.pool)
    )


async def show(settings: Settings, *, json: bool) -> None:
    """Print the engine's state; exits with 3 if there is none."""
    if settings.kafka.bootstrap_servers:
        await _show_roles(settings, json=json)
        return
    data = DataDir(settings.data_dir)
    engine = data.address()
    if engine is None:
        _print({"running": False, "data_dir": str(data.path)}, _NONE, json=json)
        raise typer.Exit(ExitCode.NO_ENGINE)
    address = to_object(engine)
    del address["postgres"]  # may hold a password
    health = await asyncio.to_thread(_health, engine)
    found: JsonObject = {
        "running": True,
        "ready": health.ready,
        "reason": health.reason,
        "data_dir": str(data.path),
        **address,
    }
    _print(found, await _read(settings, health), json=json)


async def _show_roles(settings: Settings, *, json: bool) -> None:
    """Print the consumer lag and the executions; each role serves its own health."""
    async with open_session(settings) as session:
        shown = await _executions(session)
        lag = await consumer_lag(settings)
        lost = await positions.lost(settings)
    if json:
        print_json(
            {
                "kafka": settings.kafka.bootstrap_servers,
                "lag": {**lag},
                "lost_positions": [to_object(state) for state in lost],
                **shown.as_json(),
            }
        )
        return
    console = Console(highlight=False)
    console.print(f"Roles on Kafka at {settings.kafka.bootstrap_servers}")
    for topic, messages in lag.items():
        console.print(f"  {topic}  lag {messages}")
    if lost:
        console.print(
            f"  [yellow]stopped[/]  {len(lost)} partitions wait until the loss of a "
            "position is accepted; see 'flightlog positions'"
        )
        for state in lost[:_ROWS_SHOWN]:
            console.print(f"    {positions.line(state)}", markup=False)
    _print_executions(console, shown)


async def _read(settings: Settings, health: _Health) -> _Executions:
    """Return the executions, unless the engine says that Postgres is away."""
    if health.is_away(Dependency.POSTGRES):
        return _UNKNOWN
    try:
        with outages_are_transient():
            async with open_session(settings) as session:
                return await _executions(session)
    except TransientError:
        return _UNKNOWN


class _Away(msgspec.Struct, frozen=True):
    what: str


class _Health(msgspec.Struct, frozen=True):
    """What `/healthz` answers."""

    ready: bool = False
    reason: str = "it doesn't answer"
    away: tuple[_Away, ...] = ()

    def is_away(self, what: Dependency) -> bool:
        """Return whether the engine waits for a dependency."""
        return any(found.what == what for found in self.away)


def _health(engine: EngineAddress) -> _Health:
    connection = HTTPConnection(engine.host, engine.http_port, timeout=_PROBE_S)
    try:
        with closing(connection):
            connection.request("GET", "/healthz")
            return msgspec.json.decode(connection.getresponse().read(), type=_Health)
    except (HTTPException, OSError, msgspec.MsgspecError):
        return _Health()


def _print(found: JsonObject, shown: _Executions, *, json: bool) -> None:
    if json:
        print_json({**found, **shown.as_json()} if found["running"] else found)
        return
    console = Console(highlight=False)
    if not found["running"]:
        console.print(f"No engine is running on {found['data_dir']}")
        return
    how = "[green]ready[/]" if found["ready"] else "[yellow]not ready[/]"
    console.print(f"Flightlog {found['version']} is {how} (pid {found['pid']})")
    if found["reason"]:
        console.print(f"  {found['reason']}", markup=False, soft_wrap=True)
    console.print(f"  gRPC  {found['host']}:{found['grpc_port']}")
    console.print(f"  HTTP  http://{found['host']}:{found['http_port']}")
    console.print(f"  data  {found['data_dir']}")
    _print_executions(console, shown)


def _print_executions(console: Console, shown: _Executions) -> None:
    if shown.counts is None:
        console.print("  executions  unknown while Postgres is away")
        return
    counts = ", ".join(
        f"{number} {phase}" for phase, number in sorted(shown.counts.items())
    )
    console.print(f"  executions  {counts or 'none yet'}")
    if shown.passed:
        console.print(
            f"  [yellow]passed over[/]  {len(shown.passed)} executions have an event "
            "that the read models can't hold; see 'flightlog passed-over'"
        )
        for row in shown.passed[:_ROWS_SHOWN]:
            console.print(f"    {passed_over.line(row)}", markup=False)

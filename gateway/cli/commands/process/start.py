"""`flightlog start`: runs one role until it is told to stop."""

from __future__ import annotations

from gateway.bootstrap.roles import process
from gateway.cli.run_process import run_until_stopped
from gateway.cli.standard_streams import announce
from gateway.version import version
from infra.settings import Settings
from schemas.json_types import JsonObject


def start(role: str, settings: Settings) -> None:
    """Run a role; raises CommandError for what ended it."""

    def greet(grpc: str, http: str) -> None:
        """Print its addresses."""
        ready = f"Flightlog {version()} {role} is ready"
        where = f"gRPC {grpc}  HTTP {http}" if grpc else f"HTTP {http}"
        fields: JsonObject = {"event": ready, "level": "info", "http": http}
        announce(
            [f"[bold green]{ready}[/]  {where}"],
            fields | ({"grpc": grpc} if grpc else {}),
            as_json=settings.log_json,
        )

    run_until_stopped(settings, process.run(role, settings, greet))

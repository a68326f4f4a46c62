"""`flightlog up`: runs an embedded engine until it is told to stop."""

from __future__ import annotations

from gateway.bootstrap.data_dir import EngineAddress
from gateway.bootstrap.embedded import run
from gateway.cli.run_process import run_until_stopped
from gateway.cli.standard_streams import announce
from infra.settings import Settings
from schemas.json_types import JsonObject


def up(settings: Settings) -> None:
    """Run the engine; raises CommandError for what ended it."""
    run_until_stopped(
        settings, run(settings, lambda address: _greet(settings, address))
    )


def _greet(settings: Settings, address: EngineAddress) -> None:
    """Print the addresses."""
    ready = f"Flightlog {address.version} is ready"
    platform = f"FLYTE_PLATFORM_URL={address.grpc} FLYTE_PLATFORM_INSECURE=true"
    lines = [
        f"[bold green]{ready}[/]  gRPC {address.grpc}  HTTP {address.http}",
        f"  data     {settings.data_dir}",
        f"  flytekit pyflyte run --remote …  with  {platform}",
    ]
    if settings.plugin == "process":
        lines.append(
            "  tasks    run as processes with your user's permissions, not sandboxed"
        )
    lines.append("  stop     Ctrl-C")
    fields: JsonObject = {
        "event": ready,
        "level": "info",
        "grpc": address.grpc,
        "http": address.http,
        "data_dir": str(settings.data_dir),
    }
    announce(lines, fields, as_json=settings.log_json)

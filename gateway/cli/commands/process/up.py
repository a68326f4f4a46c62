"""`flightlog up`: runs an embedded engine until it is told to stop."""

from __future__ import annotations

import sys

from rich.console import Console

from gateway.bootstrap.data_dir import EngineAddress
from gateway.bootstrap.embedded import run
from gateway.cli.run_process import run_until_stopped
from infra.settings import Settings


def up(settings: Settings) -> None:
    """Run the engine; raises CommandError for what ended it."""
    run_until_stopped(
        settings, run(settings, lambda address: _greet(settings, address))
    )


def _greet(settings: Settings, address: EngineAddress) -> None:
    """Print the addresses on standard output: scripts wait for this line."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    console.print(
        f"[bold green]Flightlog {address.version} is ready[/]  "
        f"gRPC {address.grpc}  HTTP {address.http}"
    )
    console.print(f"  data     {settings.data_dir}")
    console.print(
        "  flytekit pyflyte run --remote …  with  "
        f"FLYTE_PLATFORM_URL={address.grpc} FLYTE_PLATFORM_INSECURE=true"
    )
    if settings.plugin == "process":
        console.print(
            "  tasks    run as processes with your user's permissions, not sandboxed"
        )
    console.print("  stop     Ctrl-C")
    sys.stdout.flush()

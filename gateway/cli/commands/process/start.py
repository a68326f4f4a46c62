"""`flightlog start`: runs one role until it is told to stop."""

from __future__ import annotations

import sys

from rich.console import Console

from gateway.bootstrap import role_process
from gateway.cli.run_process import run_until_stopped
from gateway.version import version
from infra.settings import Settings


def start(role: str, settings: Settings) -> None:
    """Run a role; raises CommandError for what ended it."""

    def greet(grpc: str, http: str) -> None:
        """Print its addresses on standard output, so that scripts can wait for it."""
        console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        where = f"gRPC {grpc}  HTTP {http}" if grpc else f"HTTP {http}"
        console.print(f"[bold green]Flightlog {version()} {role} is ready[/]  {where}")
        sys.stdout.flush()

    run_until_stopped(settings, role_process.run(role, settings, greet))

"""`flightlog up`: the embedded engine until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import sys

import structlog
from psycopg import OperationalError
from rich.console import Console

from gateway.commands.failing import CommandFailed
from gateway.data_dir import EngineAddress, EngineRuns
from gateway.embedded import run
from gateway.ports import PortTaken
from gateway.supervision import PartEnded
from infra import logs
from infra.errors import InfraError
from infra.settings import Settings

log_ = structlog.get_logger(__name__)

GC_THRESHOLDS = (50_000, 50, 100)
"""Live executions are many small objects without cycles: look at them rarely."""


def up(settings: Settings) -> None:
    """Run the engine; raises CommandFailed for what ended it."""
    logs.set_up(settings.log_level, as_json=settings.log_json)
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        with asyncio.Runner() as runner:
            runner.run(run(settings, lambda address: _greet(settings, address)))
    except (EngineRuns, PortTaken, InfraError) as error:
        raise CommandFailed(str(error)) from error
    except OperationalError as error:
        raise CommandFailed(
            f"Expected a Postgres that answers, but: {error}"
        ) from error
    except BaseExceptionGroup as group:
        died = group.subgroup(PartEnded)
        if died is None:
            raise
        first = _first(died)
        raise CommandFailed(f"The engine ended: {first}") from group


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _greet(settings: Settings, address: EngineAddress) -> None:
    """Say where the engine is; on standard output, so that scripts can wait for it."""
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
        console.print("  tasks    run as processes of this machine, not isolated")
    console.print("  stop     Ctrl-C")
    sys.stdout.flush()

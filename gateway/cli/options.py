"""What commands share: options, settings from them, and how they run and fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from gateway.cli.session.session import Session
    from infra.settings import Settings

EXITS = (
    "Exit codes: 0 done; 1 failed, or what was asked for doesn't exist; "
    "2 wrong usage; 3 no engine, or no data of one."
)


class PluginName(StrEnum):
    """What carries tasks out."""

    PROCESS = "process"
    ECHO = "echo"


DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where the engine keeps its data; ~/.flightlog by default.",
        file_okay=False,
    ),
]
GrpcPortOption = Annotated[
    int | None,
    typer.Option(
        "--grpc-port", min=0, max=65535, help="gRPC; 30080 by default, 0 takes any."
    ),
]
DoorPortOption = Annotated[
    int | None,
    typer.Option(
        "--http-port", min=0, max=65535, help="HTTP; 30081 by default, 0 takes any."
    ),
]
ExecutionArgument = Annotated[
    str,
    typer.Argument(
        metavar="EXECUTION", help="project/domain/name, or the name where unique."
    ),
]
BeginOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME|POSITION",
        help="Only executions created from then on: ISO 8601, or a place on the log.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings_of(**given: Any) -> Settings:
    """Return the settings; options win over the environment, and that over the file."""
    from pydantic import ValidationError  # noqa: PLC0415 - heavy

    from infra.settings import Settings  # noqa: PLC0415 - heavy

    try:
        return Settings(**{k: v for k, v in given.items() if v is not None})
    except (ValidationError, OSError, ValueError) as error:
        typer.echo(f"Expected settings that make sense, but: {error}", err=True)
        raise typer.Exit(ExitCode.USAGE) from error


def reading(
    data_dir: Path | None,
    work: Callable[[Session], Coroutine[Any, Any, None]],
    *,
    create: bool = False,
) -> None:
    """Run a command on the data of an engine; `create` makes those of a new one."""
    from gateway.cli.session.session import open_session  # noqa: PLC0415 - heavy

    async def read() -> None:
        settings = settings_of(data_dir=data_dir)
        async with open_session(settings, create=create) as session:
            await work(session)

    guarded(lambda: asyncio.run(read()))


def guarded(work: Callable[[], None]) -> None:
    """Turn what can go wrong into a line and an exit code."""
    from infra.errors import InfraError  # noqa: PLC0415 - heavy

    try:
        work()
    except (CommandError, InfraError) as error:
        typer.echo(str(error), err=True)
        code = error.code if isinstance(error, CommandError) else ExitCode.FAILED
        raise typer.Exit(code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
    except BrokenPipeError as error:
        raise typer.Exit(ExitCode.OK) from error

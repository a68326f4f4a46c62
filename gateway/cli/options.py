"""What commands share: options, settings from them, running and failing."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import standard_streams
from gateway.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from gateway.cli.session.session import Session
    from infra.settings import Settings

EXITS = (
    "Exit codes: 0 success; 1 failure, or not found; 2 invalid usage; "
    "3 no engine is running, or the data folder is empty."
)


class PluginName(StrEnum):
    """The plugins that run tasks."""

    PROCESS = "process"
    ECHO = "echo"


DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Data folder of the engine; ~/.flightlog by default.",
        file_okay=False,
    ),
]
GrpcPortOption = Annotated[
    int | None,
    typer.Option(
        "--grpc-port",
        min=0,
        max=65535,
        help="gRPC port; 30080 by default, 0 for any free one.",
    ),
]
HttpPortOption = Annotated[
    int | None,
    typer.Option(
        "--http-port",
        min=0,
        max=65535,
        help="HTTP port; 30081 by default, 0 for any free one.",
    ),
]
EXECUTION_HELP = "project/domain/name, or the name if unique"
STREAM_HELP = EXECUTION_HELP + "; or the id of a stream"
ExecutionArgument = Annotated[
    str, typer.Argument(metavar="EXECUTION", help=EXECUTION_HELP + ".")
]
StreamArgument = Annotated[
    str, typer.Argument(metavar="EXECUTION", help=STREAM_HELP + ".")
]
BeginOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME|POSITION",
        help="Only executions created since: an ISO 8601 time or a log position.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
GC_THRESHOLDS = (50_000, 50, 100)
"""Active executions are many small objects without cycles: collect rarely."""

Option = str | int | Path | None
"""What an option that sets a setting holds; None where it isn't given."""


def load_settings(**options: Option) -> Settings:
    """Return the settings; options override the environment, and that the file.

    Prints what is invalid and exits with 2.
    """
    from infra import settings  # noqa: PLC0415 - heavy

    try:
        return settings.load({k: v for k, v in options.items() if v is not None})
    except (OSError, ValueError) as error:
        from gateway.cli.sentences import complain  # noqa: PLC0415 - heavy

        as_json = isinstance(error, settings.InvalidSettingsError) and error.as_json
        complain(f"Invalid configuration: {error}", as_json=as_json)
        raise typer.Exit(ExitCode.USAGE) from error


def run_on_session(
    data_dir: Path | None,
    work: Callable[[Session], Coroutine[None, None, None]],
    *,
    create: bool = False,
) -> None:
    """Run a command on the data of an engine; `create` makes a missing data folder."""
    from gateway.cli.session.session import open_session  # noqa: PLC0415 - heavy

    async def read() -> None:
        settings = load_settings(data_dir=data_dir)
        async with open_session(settings, create=create) as session:
            await work(session)

    run_command(lambda: asyncio.run(read()))


def run_command(work: Callable[[], None], *, logs_json: bool = False) -> None:
    """Run a command; an expected error becomes one line and an exit code."""
    from gateway.cli.sentences import complain, sentence  # noqa: PLC0415 - heavy
    from infra import logging_setup  # noqa: PLC0415 - heavy

    logging_setup.configure("WARNING", as_json=logs_json)
    _collect_garbage()
    try:
        with _terminable():
            work()
    except typer.Exit:
        raise
    except CommandError as error:
        complain(str(error), as_json=logs_json)
        raise typer.Exit(error.code) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(ExitCode.INTERRUPTED) from error
    except BrokenPipeError as error:
        standard_streams.discard()
        raise typer.Exit(ExitCode.OK) from error
    except Exception as error:
        text = sentence(error)
        if text is None:
            raise
        complain(text, as_json=logs_json)
        raise typer.Exit(ExitCode.FAILED) from error


def _collect_garbage() -> None:
    """Collect garbage from now on, but for what was imported: that stays.

    While modules were imported, nothing was collected (`main`).
    """
    if gc.isenabled():
        return
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    gc.enable()


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does: end a command in order, with what it started."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Options of `flightlog dead-letters`."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import (
    EXITS,
    STREAM_HELP,
    DataDirOption,
    JsonOption,
    run_on_session,
)

app = typer.Typer(
    help="Commands and dispatches that could not be decoded or handled.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command("list")
def list_(
    execution: Annotated[
        str | None,
        typer.Argument(metavar="[EXECUTION]", help=STREAM_HELP + "; all by default."),
    ] = None,
    *,
    redriven: Annotated[
        bool, typer.Option("--all", help="Include redriven ones.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print the dead letters, oldest first: original location, message and error."""
    from gateway.cli.commands.log import dead_letters  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: dead_letters.show_all(
            session, execution, redriven=redriven, json=json
        ),
    )


@app.command()
def show(
    dead_letter: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, as `list` prints it.")
    ],
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print one dead letter: location, envelope, error, and its message or bytes."""
    from gateway.cli.commands.log import dead_letters  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir, lambda session: dead_letters.show(session, dead_letter, json=json)
    )


@app.command()
def redrive(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXECUTION|ID]...", help="What to redrive."),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Redrive all that can be decoded.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Send dead letters to their original topics, in order; resume parked executions.

    All commands of an execution are redriven together. Those that this version can't
    decode are left, unless named by their id. Exits with 1 if an execution was parked
    again, or if nothing could be redriven.
    """
    from gateway.cli.commands.log import dead_letters  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: dead_letters.redrive(
            session, names or [], every=every, json=json
        ),
    )

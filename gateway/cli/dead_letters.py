"""`flightlog dead-letters`: its words and options."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import EXITS, DataDirOption, JsonOption, reading

app = typer.Typer(
    help="Commands and dispatches that nobody could read or handle, kept as they came.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command("list")
def list_(
    execution: Annotated[
        str | None,
        typer.Argument(metavar="[EXECUTION]", help="All executions, if left out."),
    ] = None,
    *,
    redriven: Annotated[
        bool, typer.Option("--all", help="Also those that were put back.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print the dead letters, oldest first: where each lay, and why it lies here."""
    from gateway.cli.commands.log import dead_letters  # noqa: PLC0415 - heavy

    reading(
        data_dir,
        lambda session: dead_letters.show_all(
            session, execution, redriven=redriven, json=json
        ),
    )


@app.command()
def show(
    letter: Annotated[
        str, typer.Argument(metavar="LETTER", help="Its id, as `list` prints it.")
    ],
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print one dead letter: place, envelope, error, and its message or its bytes."""
    from gateway.cli.commands.log import dead_letters  # noqa: PLC0415 - heavy

    reading(data_dir, lambda session: dead_letters.show(session, letter, json=json))


@app.command()
def redrive(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXECUTION|LETTER]...", help="What to put back."),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Put back all that can be read.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Put dead letters back where they came from, in order, and resume executions.

    All commands of an execution go together. What this version can't read is left,
    unless its letter is named. Ends with 1 if an execution was parked again, or
    nothing could be put back.
    """
    from gateway.cli.commands.log import dead_letters  # noqa: PLC0415 - heavy

    reading(
        data_dir,
        lambda session: dead_letters.redrive(
            session, names or [], every=every, json=json
        ),
    )

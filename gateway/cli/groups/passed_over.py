"""Options of `flightlog passed-over`."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.options import EXITS, DataDirOption, JsonOption, run_on_session

app = typer.Typer(
    help="Executions with an event that the read models can't hold.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command("list")
def list_(*, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Print the executions that are passed over: since when, at which event, and why.

    They run as usual; what clients see of them stops before that event.
    """
    from gateway.cli.commands.log import passed_over  # noqa: PLC0415 - heavy

    run_on_session(data_dir, lambda session: passed_over.show_all(session, json=json))


@app.command()
def redrive(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXECUTION]...", help="What to redrive."),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Redrive all that are passed over.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Apply the events of executions again, from the first one on.

    For a version that can show what an earlier one couldn't. An engine may be running:
    its projector waits. Exits with 1 if one still can't be applied: it stays as it is.
    """
    from gateway.cli.commands.log import passed_over  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: passed_over.redrive(
            session, names or [], every=every, json=json
        ),
    )

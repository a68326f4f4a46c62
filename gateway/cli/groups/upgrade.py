"""Options of `flightlog upgrade`."""

from __future__ import annotations

import typer

from gateway.cli.options import EXITS, DataDirOption, JsonOption, run_on_session

app = typer.Typer(
    help="Rolling upgrades: which processes run, and which format level is written.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command()
def status(*, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Show the open format level, the newest one, and the processes that run.

    Processes of versions before format levels aren't known here.
    """
    from gateway.cli.commands.process import upgrade  # noqa: PLC0415 - heavy

    run_on_session(data_dir, lambda session: upgrade.status(session, json=json))


@app.command("open")
def open_(*, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Open the newest format level of this version: there is no way back from it.

    Refused while a process runs that doesn't know the level. From then on older
    versions refuse to start. The first opening is yours: make sure that no process of
    a version before format levels is left. Later ones happen when the last older
    process leaves.
    """
    from gateway.cli.commands.process import upgrade  # noqa: PLC0415 - heavy

    run_on_session(data_dir, lambda session: upgrade.open_level(session, json=json))

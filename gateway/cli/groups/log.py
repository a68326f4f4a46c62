"""Options of `flightlog log`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import EXITS, DataDirOption, JsonOption, run_on_session

app = typer.Typer(
    help="Export the whole log to a file, as a backup or for a bug report; import it.",
    epilog=EXITS,
    no_args_is_help=True,
)
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="An Avro object container file.")
]


@app.command("export")
def export(
    file: FileArgument,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an existing file.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Write the log to a file: all events, and pending commands and dispatches.

    An engine may be running. Blobs (code, large values, files) are not included.
    """
    from gateway.cli.commands.log import log_files  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: log_files.export(session, file, force=force, json=json),
    )


@app.command("import")
def import_(
    file: FileArgument, *, data_dir: DataDirOption = None, json: JsonOption = False
) -> None:
    """Append an exported log to an empty one: of a new data folder, or on new topics.

    A log that isn't empty is refused. The next engine that starts builds the read
    models and continues where the exported one was.
    """
    from gateway.cli.commands.log import log_files  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: log_files.import_(session, file, json=json),
        create=True,
    )

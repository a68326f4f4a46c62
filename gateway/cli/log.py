"""`flightlog log`: its words and options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import EXITS, DataDirOption, JsonOption, reading

app = typer.Typer(
    help="The whole log in a file: a backup, or what a bug report carries.",
    epilog=EXITS,
    no_args_is_help=True,
)
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="An Avro object container.")
]


@app.command("export")
def export(
    file: FileArgument,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Write the log to a file: all events, and what is still to be done.

    An engine may run meanwhile. Blobs (code, large values, files) aren't in it.
    """
    from gateway.cli.commands.log import log_files  # noqa: PLC0415 - heavy

    reading(
        data_dir,
        lambda session: log_files.export(session, file, force=force, json=json),
    )


@app.command("import")
def import_(
    file: FileArgument, *, data_dir: DataDirOption = None, json: JsonOption = False
) -> None:
    """Put an exported log on an empty one: of a new data folder, or of new topics.

    A log that holds anything is refused. The next engine that starts folds the views
    and goes on where the exported one was.
    """
    from gateway.cli.commands.log import log_files  # noqa: PLC0415 - heavy

    reading(
        data_dir,
        lambda session: log_files.import_(session, file, json=json),
        create=True,
    )

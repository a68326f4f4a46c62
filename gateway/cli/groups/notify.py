"""Options of `flightlog notify`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gateway.cli.options import (
    EXITS,
    DataDirOption,
    JsonOption,
    load_settings,
    run_command,
    run_on_session,
)

app = typer.Typer(
    help="Notifications: who is told of executions, and what became of it.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command()
def check(*, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Check channels and rules, as the settings have them, and print them.

    Nothing is sent. Exits with 1 if something can't be used.
    """
    from gateway.cli.commands.notify import check as command  # noqa: PLC0415 - heavy

    settings = load_settings(data_dir=data_dir)
    run_command(lambda: command.check(settings.notify, json=json))


@app.command("test")
def send_test(
    channel: Annotated[str, typer.Argument(help="The channel's name.")],
    *,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Send a message to a channel, and print what its provider answers.

    Exits with 1 if it wasn't taken.
    """
    from gateway.cli.commands.notify import check as command  # noqa: PLC0415 - heavy

    settings = load_settings(data_dir=data_dir)
    run_command(
        lambda: asyncio.run(command.send_test(settings.notify, channel, json=json))
    )


@app.command("list")
def list_(
    execution: Annotated[
        str | None,
        typer.Argument(metavar="[EXECUTION]", help="Those of this execution alone."),
    ] = None,
    *,
    dead: Annotated[
        bool, typer.Option("--dead", help="Those that were given up.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most of them.")] = 100,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Print deliveries, the newest first: their channel, state, tries and reason."""
    from gateway.cli.commands.notify import deliveries  # noqa: PLC0415 - heavy

    run_on_session(
        data_dir,
        lambda session: deliveries.show(
            session, execution, dead=dead, limit=limit, json=json
        ),
    )


@app.command()
def redrive(
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DELIVERY]...", help="What to send again."),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All that were given up.")
    ] = False,
    data_dir: DataDirOption = None,
    json: JsonOption = False,
) -> None:
    """Send deliveries that were given up again, with the same keys."""
    from gateway.cli.commands.notify import deliveries  # noqa: PLC0415 - heavy

    channels = list(load_settings(data_dir=data_dir).notify.channel_settings)
    run_on_session(
        data_dir,
        lambda session: deliveries.redrive(
            session, ids or [], channels, every=every, json=json
        ),
    )

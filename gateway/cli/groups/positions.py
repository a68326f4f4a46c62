"""Options of `flightlog positions`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from gateway.cli.options import EXITS, JsonOption, load_settings, run_command

app = typer.Typer(
    help="How far roles have read the topics on Kafka, and positions that are lost.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command("list")
def list_(*, json: JsonOption = False) -> None:
    """Print the position on each partition, and what that partition holds.

    Exits with 1 if one is lost: messages were deleted before they were read, the broker
    forgot the position of roles that were stopped for long, or a topic was created
    again. Such a partition stops, and all others go on.
    """
    from gateway.cli.commands.log import positions  # noqa: PLC0415 - heavy

    settings = load_settings()
    run_command(lambda: asyncio.run(positions.show_all(settings, json=json)))


@app.command("accept-loss")
def accept_loss(
    topic: Annotated[
        str, typer.Argument(help="flightlog.commands, …dispatches or …events.")
    ],
    partition: Annotated[int, typer.Argument(min=0, help="Its partition.")],
    *,
    skip: Annotated[
        bool,
        typer.Option(
            "--skip", help="Go on with new messages, not with the oldest one there is."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Let a stopped partition go on: with the oldest message that is still there.

    Deleted ones are lost for good. Those that are there may have been read before: for
    commands and reports that are repeated nothing happens, and a runner first looks
    what was reported. The role goes on by itself within seconds. Refused if nothing is
    lost.
    """
    from gateway.cli.commands.log import positions  # noqa: PLC0415 - heavy

    settings = load_settings()
    run_command(
        lambda: asyncio.run(
            positions.accept_loss(settings, topic, partition, skip=skip, json=json)
        )
    )

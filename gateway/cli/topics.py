"""`flightlog topics`: its words and options."""

from __future__ import annotations

import asyncio

import typer

from gateway.cli.options import EXITS, JsonOption, guarded, settings_of

app = typer.Typer(
    help="The topics on Kafka that roles share: FLIGHTLOG_KAFKA__* says where, how "
    "many partitions and how many copies.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command()
def create(*, json: JsonOption = False) -> None:
    """Make the topics that aren't there; those that are stay as they are."""
    from gateway.cli.commands.log import topics  # noqa: PLC0415 - heavy

    settings = settings_of()
    guarded(lambda: asyncio.run(topics.create(settings, json=json)))


@app.command()
def describe(*, json: JsonOption = False) -> None:
    """Print each topic's partitions and copies, and how far its groups have read.

    Ends with 1 if a topic is missing, or has other partitions than the settings say.
    """
    from gateway.cli.commands.log import topics  # noqa: PLC0415 - heavy

    settings = settings_of()
    guarded(lambda: asyncio.run(topics.describe(settings, json=json)))

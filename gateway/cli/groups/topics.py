"""Options of `flightlog topics`."""

from __future__ import annotations

import asyncio

import typer

from gateway.cli.options import EXITS, JsonOption, load_settings, run_command

app = typer.Typer(
    help="The Kafka topics that roles share. FLIGHTLOG_KAFKA__* sets the servers, the "
    "number of partitions and the replication factor.",
    epilog=EXITS,
    no_args_is_help=True,
)


@app.command()
def create(*, json: JsonOption = False) -> None:
    """Create the missing topics, and mend the configuration of existing ones.

    What is mended is printed: retention, compaction, message size and what else would
    lose or refuse messages. Exits with 1 if a topic has another number of partitions
    than the settings.
    """
    from gateway.cli.commands.log import topics  # noqa: PLC0415 - heavy

    settings = load_settings()
    run_command(lambda: asyncio.run(topics.create(settings, json=json)))


@app.command()
def describe(*, json: JsonOption = False) -> None:
    """Print each topic's partitions, replicas and consumer lag.

    Exits with 1 if a topic is missing, or if its number of partitions differs from the
    settings, or its configuration from what the engine needs.
    """
    from gateway.cli.commands.log import topics  # noqa: PLC0415 - heavy

    settings = load_settings()
    run_command(lambda: asyncio.run(topics.describe(settings, json=json)))

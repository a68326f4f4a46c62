"""`flightlog topics`: creates topics; prints their state and consumer lag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.bootstrap.logs import open_kafka_log
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json, to_object
from infra.eventlog.kafka import topics
from infra.settings import Settings
from schemas import topics as t
from schemas.json_types import JsonObject

_GROUPS = {t.COMMANDS: t.PROPELLER_GROUP, t.DISPATCHES: t.RUNNER_GROUP}


async def create(settings: Settings, *, json: bool) -> None:
    """Create the missing topics, and mend the configuration of others."""
    _check(settings)
    done = await topics.prepare(settings.kafka)
    if json:
        mended: JsonObject = {
            name: [to_object(change) for change in changes]
            for name, changes in done.mended.items()
        }
        found: JsonObject = {"created": [*done.created]}
        print_json(found | {"mended": mended} if mended else found)
    else:
        _print_done(done)
    if done.problem:
        raise CommandError(done.problem)


def _print_done(done: topics.Prepared) -> None:
    if done.created:
        typer.echo(f"created {', '.join(done.created)}")
    for name, changes in done.mended.items():
        for change in changes:
            typer.echo(
                f"mended {name}: {change.name} was {change.found}, is {change.expected}"
            )
    if not (done.created or done.mended or done.problem):
        typer.echo("all topics exist")


async def describe(settings: Settings, *, json: bool) -> None:
    """Print the topics; exits with 1 if one is missing or differs from the settings."""
    _check(settings)
    states = await topics.describe(settings.kafka)
    are_right = all(state.is_valid for state in states)
    lag = await consumer_lag(settings) if are_right else {}
    if json:
        print_json({"topics": [_as_json(state, lag) for state in states]})
    else:
        _print_table(states, lag)
    if not are_right:
        raise typer.Exit(ExitCode.FAILED)


async def consumer_lag(settings: Settings) -> Mapping[str, int]:
    """Return about how many messages of each topic its group has still to read."""
    async with open_kafka_log(settings) as log:
        found = {}
        for topic, group in _GROUPS.items():
            kept = await log.positions(group, topic)
            ends = await log.end_positions((topic,))
            left = {p: end - kept.get(p, 0) for p, end in ends.items()}
            found[topic] = sum(max(0, number) for number in left.values())
        return found


def _check(settings: Settings) -> None:
    if not settings.kafka.bootstrap_servers:
        raise CommandError(
            "Expected FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS to name a broker, but it is "
            "empty",
            ExitCode.USAGE,
        )


def _as_json(state: topics.TopicState, lag: Mapping[str, int]) -> JsonObject:
    return {**to_object(state), "right": state.is_valid, "lag": lag.get(state.name)}


def _print_table(states: Sequence[topics.TopicState], lag: Mapping[str, int]) -> None:
    table = Table(box=None)
    for heading in ("topic", "partitions", "replicas", "lag"):
        table.add_column(heading, no_wrap=True)
    table.add_column("")
    for state in states:
        left = lag.get(state.name)
        table.add_row(
            state.name,
            str(state.partitions),
            str(state.replicas),
            "" if left is None else str(left),
            f"[red]{escape(state.problem)}[/]",
        )
    Console(highlight=False).print(table)

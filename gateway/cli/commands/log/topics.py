"""`flightlog topics`: made, described, and how far their readers are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.errors import CommandError, ExitCode
from infra.eventlog.kafka import topics
from infra.eventlog.kafka.log import KafkaLog
from infra.settings import Settings
from schemas import topics as t

_GROUPS = {t.COMMANDS: t.PROPELLER_GROUP, t.DISPATCHES: t.RUNNER_GROUP}


async def create(settings: Settings, *, json: bool) -> None:
    """Make the topics that are missing."""
    _check(settings)
    made = await topics.create(settings.kafka)
    if json:
        _print({"made": list(made)})
        return
    typer.echo(f"made {', '.join(made)}" if made else "every topic was there already")


async def describe(settings: Settings, *, json: bool) -> None:
    """Print the topics; exits with 1 if one isn't as it must be."""
    _check(settings)
    states = await topics.describe(settings.kafka)
    are_right = all(state.is_right for state in states)
    behind = await unread(settings) if are_right else {}
    if json:
        found = [
            msgspec.to_builtins(state)
            | {"right": state.is_right, "unread": behind.get(state.name)}
            for state in states
        ]
        _print({"topics": found})
    else:
        _show(states, behind)
    if not are_right:
        raise typer.Exit(ExitCode.FAILED)


async def unread(settings: Settings) -> Mapping[str, int]:
    """Return how much of each topic its group has still to read, by about."""
    log = KafkaLog(settings.kafka, settings.log)
    await log.open()
    try:
        found = {}
        for topic, group in _GROUPS.items():
            kept = await log.positions(group, topic)
            ends = await log.end((topic,))
            left = {p: end - kept.get(p, 0) for p, end in ends.items()}
            found[topic] = sum(max(0, number) for number in left.values())
        return found
    finally:
        await log.close()


def _check(settings: Settings) -> None:
    if not settings.kafka.servers:
        raise CommandError(
            "Expected FLIGHTLOG_KAFKA__SERVERS to name a broker, but it is empty",
            ExitCode.USAGE,
        )


def _show(states: Sequence[topics.TopicState], behind: Mapping[str, int]) -> None:
    table = Table(box=None)
    for heading in ("topic", "partitions", "copies", "unread", ""):
        table.add_column(heading, no_wrap=True)
    for state in states:
        how = "" if state.is_right else "missing" if not state.partitions else (
            f"expected {state.expected} partitions"
        )  # fmt: skip
        left = behind.get(state.name)
        table.add_row(
            state.name,
            str(state.partitions),
            str(state.replicas),
            "" if left is None else str(left),
            f"[red]{how}[/]",
        )
    Console(highlight=False).print(table)


def _print(found: Mapping[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")

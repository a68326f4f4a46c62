"""`flightlog positions`: stored positions on Kafka; accepts the loss of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import typer

from gateway.bootstrap.logs import open_kafka_log
from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.json_output import print_json, to_object
from gateway.cli.session.session import open_session
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.stored_positions import PositionState
from infra.postgres.pool import Pool
from infra.settings import Settings
from projections.positions import move_position, stored_positions
from schemas import topics as t

_GROUPS = {t.COMMANDS: t.PROPELLER_GROUP, t.DISPATCHES: t.RUNNER_GROUP}
_TOPICS = (*_GROUPS, t.EVENTS)


@dataclass(frozen=True, slots=True)
class _Positions:
    """Positions of roles: of projectors in Postgres, of others on the broker."""

    log: KafkaLog
    pool: Pool

    async def states(self, topic: str) -> Sequence[PositionState]:
        if topic in _GROUPS:
            return await self.log.position_states(_GROUPS[topic], topic)
        async with self.pool.connection() as conn:
            stored = await stored_positions(conn)
        return await self.log.position_states(t.PROJECTOR_GROUP, topic, stored)

    async def move(self, state: PositionState, position: int) -> None:
        if state.topic in _GROUPS:
            await self.log.move_position(
                state.group, state.topic, state.partition, position
            )
            return
        async with self.pool.connection() as conn:
            await move_position(conn, state.partition, position)


async def show_all(settings: Settings, *, json: bool) -> None:
    """Print all positions; exits with 1 if one is lost."""
    async with _open(settings) as positions:
        found = [state for topic in _TOPICS for state in await positions.states(topic)]
    for state in found:
        if json:
            print_json(to_object(state))
        else:
            typer.echo(line(state))
    if any(state.problem for state in found):
        raise typer.Exit(ExitCode.FAILED)


async def lost(settings: Settings) -> Sequence[PositionState]:
    """Return the positions that are lost."""
    async with _open(settings) as positions:
        states = [state for topic in _TOPICS for state in await positions.states(topic)]
    return [state for state in states if state.problem]


async def accept_loss(
    settings: Settings, topic: str, partition: int, *, skip: bool, json: bool
) -> None:
    """Store a position from which a partition can be read; refused if it has one."""
    name = topic if topic.startswith("flightlog.") else f"flightlog.{topic}"
    if name not in _TOPICS:
        raise CommandError(
            f"Expected one of {', '.join(_TOPICS)}, but got '{topic}'", ExitCode.USAGE
        )
    async with _open(settings) as positions:
        states = {state.partition: state for state in await positions.states(name)}
        state = states.get(partition)
        if state is None:
            raise CommandError(
                f"Expected a partition of {name} below {len(states)}, but got "
                f"{partition}",
                ExitCode.USAGE,
            )
        if not state.problem:
            raise CommandError(
                f"Expected a lost position on {name}/{partition}, but {state.position} "
                "is fine: nothing is lost"
            )
        position = state.end if skip else state.first
        await positions.move(state, position)
    if json:
        print_json({"topic": name, "partition": partition, "position": position})
    else:
        typer.echo(f"{name}/{partition} goes on after {position}")


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[_Positions]:
    if not (settings.kafka.bootstrap_servers and settings.postgres):
        raise CommandError(
            "Expected FLIGHTLOG_KAFKA__BOOTSTRAP_SERVERS and FLIGHTLOG_POSTGRES to be "
            "set: the embedded engine has no positions to lose",
            ExitCode.USAGE,
        )
    async with open_session(settings) as session, open_kafka_log(settings) as log:
        yield _Positions(log, session.pool)


def line(state: PositionState) -> str:
    """Return a position as one line."""
    at = "none" if state.position is None else str(state.position)
    text = (
        f"{state.topic}/{state.partition}  {state.group} at {at}, "
        f"holds {state.first}-{state.end}"
    )
    return f"{text}  LOST: {state.problem}" if state.problem else text

"""Positions that are lost stop their partition until somebody accepts it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
import typer
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from msgspec.structs import replace

from gateway.cli.commands.log import positions as command_line
from gateway.cli.errors import CommandError
from infra.errors import PositionLostError
from infra.eventlog.contract import OwnedPartition, Received, Record
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.owned_partition import KafkaPartition
from infra.settings import Settings
from schemas import topics as t
from schemas.envelope import Envelope
from tests.contract.conftest import PARTITIONS, KafkaKind
from tests.contract.records import command, dispatch, event_record, ids
from tests.support.components.postgres import migrated_database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SOON_S = 30
QUIET_S = 3


async def delete_before(kafka: KafkaKind, topic: str, number: int, offset: int) -> None:
    """Delete records, as retention does."""
    settings = kafka.settings
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        at = TopicPartition(settings.prefix + topic, number)
        await admin.delete_records({at: RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def until(holds: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(SOON_S):
        while not holds():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def copying(log: KafkaLog, group: str) -> AsyncIterator[list[str]]:
    """Own what is assigned, and handle commands; yields the ids of those handled."""
    handled: list[str] = []
    stop = asyncio.Event()

    async def serve(partition: OwnedPartition, taken: asyncio.Event) -> None:
        while not taken.is_set():
            if found := await partition.read(20):
                await partition.commit((), found[-1].position)
                handled.extend(ids(found))

    owning = asyncio.create_task(log.own(group, t.COMMANDS, serve, stop))
    try:
        yield handled
    finally:
        stop.set()
        await owning


@asynccontextmanager
async def consuming(log: KafkaLog, group: str) -> AsyncIterator[list[str]]:
    """Read dispatches, and store their positions; yields the ids of those read."""
    read: list[str] = []

    async def follow() -> None:
        async with log.consume(group, t.DISPATCHES) as consumer:
            while True:
                found = await consumer.read(20)
                read.extend(ids(found))
                await consumer.commit({r.partition: r.position for r in found})

    following = asyncio.create_task(follow())
    try:
        yield read
    finally:
        following.cancel()
        await asyncio.wait([following])


Reading = Callable[[KafkaLog, str], AbstractAsyncContextManager[list[str]]]


def on(record: Record, number: int) -> Record:
    """The same, on a partition."""
    return replace(record, partition=number)


READERS = pytest.mark.parametrize(
    ("reading", "topic", "record"),
    [(copying, t.COMMANDS, command), (consuming, t.DISPATCHES, dispatch)],
    ids=["propeller", "runner"],
)


@READERS
async def test_messages_deleted_unread_stop_their_partition(
    kafka: KafkaKind, reading: Reading, topic: str, record: Callable[[str], Record]
) -> None:
    """All others go on; and it goes on where it is told, as others had never ended."""
    log = await kafka.open()
    everywhere = [on(record(f"a{n}"), n) for n in range(PARTITIONS)]
    await log.append(everywhere)
    async with reading(log, "g") as handled:
        await until(lambda: len(handled) == PARTITIONS)
        await asyncio.sleep(0.5)
    await log.append([on(record(name), 0) for name in ("lost-1", "lost-2", "kept")])
    await delete_before(kafka, topic, 0, 3)
    async with reading(log, "g") as handled:
        await log.append([on(record("b1"), 1)])
        await until(lambda: log.stopped_partitions == 1 and "b1" in handled)
        await asyncio.sleep(QUIET_S)
        assert handled == ["b1"]
        await log.move_position("g", topic, 0, 3)
        await until(lambda: "kept" in handled)
        assert log.stopped_partitions == 0
        await log.append([on(record("after"), 0)])
        await until(lambda: "after" in handled)
        assert handled == ["b1", "kept", "after"]


@READERS
async def test_a_position_that_was_forgotten_is_noticed(
    kafka: KafkaKind, reading: Reading, topic: str, record: Callable[[str], Record]
) -> None:
    """A group that has no position on a partition that was trimmed stops there."""
    log = await kafka.open()
    await log.append([on(record(f"a{n}"), 0) for n in range(4)])
    await delete_before(kafka, topic, 0, 2)
    async with reading(log, "forgotten") as handled:
        await log.append([on(record("b1"), 1)])
        await until(lambda: log.stopped_partitions == 1 and handled == ["b1"])
        await log.move_position("forgotten", topic, 0, 2)
        await until(lambda: len(handled) == 3)
    assert handled == ["b1", "a2", "a3"]


async def test_an_owner_that_was_overtaken_skips_nothing(kafka: KafkaKind) -> None:
    """What it would have read next is gone."""
    log = await kafka.open()
    at = TopicPartition(kafka.settings.prefix + t.COMMANDS, 0)
    partition = KafkaPartition(kafka.settings, "g", at, 0.3)
    await log.append([on(command("c0"), 0)])
    await partition.open()
    assert ids(await partition.read(9)) == ["c0"]
    partition._reader.pause(at)
    await log.append([on(command(f"c{n}"), 0) for n in range(1, 5)])
    await delete_before(kafka, t.COMMANDS, 0, 3)
    partition._reader.resume(at)

    async def next_found() -> None:
        async with asyncio.timeout(SOON_S):
            while not await partition.read(9):
                pass

    with pytest.raises(PositionLostError, match="are deleted"):
        await next_found()
    await partition.close()


async def test_an_owned_partition_knows_that_it_was_owned(kafka: KafkaKind) -> None:
    """Only owners write snapshots: a group without a position there has lost it."""
    log = await kafka.open()
    at = TopicPartition(kafka.settings.prefix + t.COMMANDS, 0)
    first = KafkaPartition(kafka.settings, "g", at, 0.3)
    await first.open()
    snapshot = Record(
        topic=t.SNAPSHOTS,
        key="s",
        envelope=Envelope(id="s", type="t", stream="s"),
        body=b"s",
    )
    await first.commit([snapshot], None)
    await first.close()
    again = KafkaPartition(kafka.settings, "g", at, 0.3)
    await again.open()
    await again.close()
    other = KafkaPartition(kafka.settings, "other", at, 0.3)
    await other.open()
    with pytest.raises(PositionLostError, match="the broker has none"):
        await other.read(9)
    await other.close()
    (state, *_) = await log.position_states("other", t.COMMANDS)
    assert "the broker has none" in state.problem


async def test_a_projector_stops_where_events_are_gone(kafka: KafkaKind) -> None:
    """Other partitions are applied; it goes on from another position."""
    log = await kafka.open()
    await log.append([on(event_record(n), 0) for n in range(1, 5)])
    await log.append([on(event_record(1, "other"), 1)])
    await delete_before(kafka, t.EVENTS, 0, 2)
    found: list[Received] = []
    async with log.join_group("g", t.EVENTS) as assignment:
        await assignment.begin(dict.fromkeys(await assignment.partitions(), 0))
        async with asyncio.timeout(SOON_S):
            while not found:
                found += await assignment.read(9)
        assert ids(found) == ["other/1"]
        assert log.stopped_partitions == 1
        assert 0 not in await assignment.reached()
        await until(assignment.is_reassigned)
        await assignment.begin({0: 2, 1: 1})
        assert log.stopped_partitions == 0
        async with asyncio.timeout(SOON_S):
            while len(found) < 3:
                found += await assignment.read(9)
    assert [r.envelope.sequence for r in found] == [1, 3, 4]


async def test_a_topic_that_was_made_again_is_noticed(kafka: KafkaKind) -> None:
    """Its positions begin again: those that are stored are beyond its end."""
    log = await kafka.open()
    await log.append([on(event_record(1), 0)])
    async with log.join_group("g", t.EVENTS) as assignment:
        await assignment.partitions()
        await assignment.begin({0: 17})
        assert log.stopped_partitions == 1


async def test_a_loss_is_accepted_by_a_command(
    kafka: KafkaKind, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what is lost, refuses where nothing is, and moves on otherwise."""
    settings = Settings(kafka=kafka.settings, postgres=migrated_database())
    log = await kafka.open()
    await command_line.show_all(settings, json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3 * PARTITIONS
    assert not any(line["problem"] for line in lines)
    for topic in (t.COMMANDS, t.DISPATCHES, t.EVENTS):
        with pytest.raises(CommandError, match="nothing is lost"):
            await command_line.accept_loss(settings, topic, 1, skip=False, json=False)

    await log.append([on(command(f"c{n}"), 1) for n in range(5)])
    await log.append([on(dispatch(f"d{n}"), 1) for n in range(5)])
    await log.append([on(event_record(n), 1) for n in range(1, 6)])
    for topic in (t.COMMANDS, t.DISPATCHES, t.EVENTS):
        await delete_before(kafka, topic, 1, 3)
    with pytest.raises(typer.Exit):
        await command_line.show_all(settings, json=False)
    assert capsys.readouterr().out.count("LOST") == 3
    for topic, skip in ((t.COMMANDS, False), ("dispatches", True), ("events", False)):
        await command_line.accept_loss(settings, topic, 1, skip=skip, json=False)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{t.COMMANDS}/1 goes on after 3",
        f"{t.DISPATCHES}/1 goes on after 5",
        f"{t.EVENTS}/1 goes on after 3",
    ]
    await command_line.show_all(settings, json=False)

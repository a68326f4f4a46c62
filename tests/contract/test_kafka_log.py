"""What only a log that many processes share must promise, on a real broker."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from msgspec.structs import replace

from infra.errors import FencedError, InfraError, PermanentError, TransientError
from infra.eventlog.contract import OwnedPartition, StreamExtent
from infra.eventlog.kafka import topics
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.owned_partition import KafkaPartition
from infra.setting_sections.storage import KafkaSettings, LogSettings
from schemas import topics as t
from tests.contract.conftest import PARTITIONS, STREAMS, KafkaKind
from tests.contract.owning import GROUP, kept, owning
from tests.contract.records import STREAM, command, dispatch, event_record, ids
from tests.support.components.kafka import Kafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SOON_S = 40


def partition_at(kafka: KafkaKind, number: int = 0) -> KafkaPartition:
    """A partition of commands, owned without a group."""
    at = TopicPartition(kafka.settings.prefix + t.COMMANDS, number)
    return KafkaPartition(kafka.settings, GROUP, at, 0.3)


class Copier:
    """Answers each command with one event, as many owners at once as there are logs."""

    def __init__(self) -> None:
        self.owned: dict[str, set[int]] = defaultdict(set)
        self.handled = 0

    async def run(self, log: KafkaLog, name: str, stop: asyncio.Event) -> None:
        """Serve what falls to this member until `stop`."""

        async def serve(partition: OwnedPartition, taken: asyncio.Event) -> None:
            self.owned[name].add(partition.number)
            try:
                while not taken.is_set():
                    await self._copy(partition)
            finally:
                self.owned[name].discard(partition.number)

        await log.own(GROUP, t.COMMANDS, serve, stop)

    async def _copy(self, partition: OwnedPartition) -> None:
        found = await partition.read(20)
        events = [
            replace(
                event_record(1, r.envelope.stream),
                envelope=replace(event_record(1).envelope, id=f"of/{r.envelope.id}"),
            )
            for r in found
        ]
        if found:
            await partition.commit(events, found[-1].position)
            self.handled += len(found)


async def copied(log: KafkaLog) -> list[str]:
    """Return the ids of all events that are on the log."""
    return [
        r.envelope.id
        async for batch in log.read_to_end(t.EVENTS, {}, 500)
        for r in batch
    ]


async def until(condition: Any) -> None:
    """Wait until something holds, within a bound."""
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.mark.both
async def test_partitions_are_shared_and_handed_over(kafka: KafkaKind) -> None:
    """Members come and go; each command has one outcome, whichever owner it had."""
    one, two = await kafka.open(), await kafka.open()
    copier, sent = Copier(), []
    stops = [asyncio.Event(), asyncio.Event()]
    async with asyncio.TaskGroup() as group:

        async def send(count: int) -> None:
            records = [
                command(f"c{len(sent) + n}", STREAMS[n % len(STREAMS)])
                for n in range(count)
            ]
            sent.extend(r.envelope.id for r in records)
            await one.append(records)

        group.create_task(copier.run(one, "one", stops[0]))
        await until(lambda: len(copier.owned["one"]) == PARTITIONS)
        await send(100)
        group.create_task(copier.run(two, "two", stops[1]))
        await send(100)
        await until(lambda: len(copier.owned["two"]) == PARTITIONS // 2)
        await send(100)
        stops[0].set()
        await until(lambda: len(copier.owned["two"]) == PARTITIONS)
        await send(100)
        await until(lambda: copier.handled >= len(sent))
        stops[1].set()
    assert sorted(await copied(one)) == sorted(f"of/{name}" for name in sent)


@pytest.mark.both
async def test_a_stream_keeps_its_partition_on_every_topic(kafka: KafkaKind) -> None:
    """Events lie where the commands of their stream do."""
    log = await kafka.open()
    await log.append([r for s in STREAMS for r in (command(s, s), event_record(1, s))])
    places: dict[str, set[int]] = {s: set() for s in STREAMS}
    for topic in (t.COMMANDS, t.EVENTS):
        async for batch in log.read_to_end(topic, {}, 100):
            for r in batch:
                places[r.key].add(r.partition)
    assert all(len(found) == 1 for found in places.values())
    assert len(set.union(*places.values())) > 1


@pytest.mark.both
async def test_a_newer_owner_fences_the_older(kafka: KafkaKind) -> None:
    """What the older one had open is gone, and it can commit no more."""
    log = await kafka.open()
    await log.append([replace(command("c1"), partition=0)])
    old, new = partition_at(kafka), partition_at(kafka)
    await old.open()
    (taken,) = await old.read(9)
    await old._producer.begin_transaction()
    await old._send([event_record(1, body=b"old")])
    await new.open()
    with pytest.raises(FencedError):
        await old.commit([], taken.position)
    assert ids(await new.read(9)) == ["c1"]
    await new.commit([event_record(1, body=b"new")], taken.position)
    assert [r.body for r in await log.stream(STREAM)] == [b"new"]
    assert await kept(log) == taken.position
    await old.close()
    await new.close()


@pytest.mark.both
async def test_an_oversized_record_costs_nothing_else(kafka: KafkaKind) -> None:
    """All of it is refused, the position stays, and the partition goes on."""
    small = kafka.settings.model_copy(update={"message_bytes_max": 50_000})
    kafka.settings = small
    log = await kafka.open()
    await log.append([replace(command("c1"), partition=0)])
    partition = partition_at(kafka)
    await partition.open()
    (taken,) = await partition.read(9)
    with pytest.raises(PermanentError):
        await partition.commit(
            [event_record(1), dispatch("d1"), event_record(2, body=b"x" * 60_000)],
            taken.position,
        )
    with pytest.raises(PermanentError):
        await log.append([event_record(3, body=b"x" * 60_000)])
    assert await kept(log) == 0
    await partition.commit([event_record(1)], taken.position)
    assert ids(await log.stream(STREAM)) == [f"{STREAM}/1"]
    assert not [r async for b in log.read_to_end(t.DISPATCHES, {}, 9) for r in b]
    await partition.close()


async def test_ten_megabytes_are_refused_by_the_broker(kafka: KafkaKind) -> None:
    """Their publisher gets an error; smaller ones before and after are kept."""
    log = await kafka.open()
    topic = kafka.settings.prefix + t.COMMANDS
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.settings.bootstrap_servers, max_request_size=20_000_000
    ) as producer:
        await producer.send_and_wait(topic, b"before", b"key", 0)
        with pytest.raises(MessageSizeTooLargeError):
            await producer.send_and_wait(topic, bytes(10_000_000), b"key", 0)
        await producer.send_and_wait(topic, bytes(7_000_000), b"key", 0)
        await producer.send_and_wait(topic, b"after", b"key", 0)
    found = [r async for batch in log.read_to_end(t.COMMANDS, {}, 9) for r in batch]
    assert [r.body for r in found] == [b"before", bytes(7_000_000), b"after"]


async def test_foreign_records_are_read_too(kafka: KafkaKind) -> None:
    """Garbage without key or headers is a message: who handles it can set it aside."""
    log = await kafka.open()
    topic = kafka.settings.prefix + t.COMMANDS
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.settings.bootstrap_servers
    ) as producer:
        await producer.send_and_wait(topic, b"garbage", partition=0)
        headers = [
            ("ce_id", b"\xff"),
            ("ce_time", b"yesterday"),
            ("ce_flightlogsequence", b"x"),
        ]
        await producer.send_and_wait(topic, b"", b"key", 0, headers=headers)
    found = [r async for batch in log.read_to_end(t.COMMANDS, {}, 9) for r in batch]
    assert [(r.key, r.body) for r in found] == [("", b"garbage"), ("key", b"")]
    assert [r.envelope.sequence for r in found] == [0, 0]


@pytest.mark.both
async def test_what_was_there_before_is_found_by_the_brokers_time(
    kafka: KafkaKind,
) -> None:
    """No message older than another is looked for after its `positions_before`."""
    log = await kafka.open()
    await log.append([command(f"c{n}", STREAMS[n % 12]) for n in range(30)])
    await log.append([dispatch("d1")])
    (seen,) = [r async for b in log.read_to_end(t.DISPATCHES, {}, 9) for r in b]
    after = await log.positions_before(seen, t.COMMANDS)
    assert set(after) == set(range(PARTITIONS))
    found = [r async for b in log.read_to_end(t.COMMANDS, after, 99) for r in b]
    assert len(found) == 30  # all of them are younger than the clocks may differ


@pytest.mark.both
async def test_topics_are_checked(kafka: KafkaKind) -> None:
    """Missing topics and a wrong number of partitions are reported."""
    log = KafkaLog(kafka.settings, LogSettings())
    with pytest.raises(PermanentError, match="flightlog topics create"):
        await log.open()
    made = await topics.create(kafka.settings)
    assert set(made) == set(topics.ALL)
    assert await topics.create(kafka.settings) == []
    other = kafka.settings.model_copy(update={"partitions": 2})
    with pytest.raises(PermanentError, match="with 2 partitions, but it has 4"):
        await KafkaLog(other, LogSettings()).open()


async def test_a_broker_that_dies_loses_nothing(tmp_path: Path) -> None:
    """Commits and appends go on after a kill -9 of the broker; no event comes twice."""
    server = Kafka(tmp_path / "kafka")
    server.start()
    settings = KafkaSettings(
        bootstrap_servers=server.servers,
        partitions=1,
        session_timeout_s=3,
        heartbeat_interval_s=0.5,
        request_timeout_s=5,
    )
    await topics.create(settings)
    log = KafkaLog(settings, LogSettings(poll_interval_s=0.3))
    await log.open()
    copier, stop = Copier(), asyncio.Event()
    names = [f"c{n}" for n in range(40)]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(copier.run(log, "one", stop))
            for number, name in enumerate(names):
                if number == 20:
                    await until(lambda: copier.handled > 10)
                    server.kill()
                    await asyncio.sleep(0.5)
                    await asyncio.to_thread(server.start)
                await _append(log, name)
            await until(lambda: copier.handled >= len(names))
            stop.set()
        events = await copied(log)
        assert len(events) == len(set(events)) == len(names)
    finally:
        await log.close()
        server.kill()


async def _append(log: KafkaLog, name: str) -> None:
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                await log.append([command(name)])
            except InfraError as error:
                assert isinstance(error, TransientError)
                await asyncio.sleep(0.2)
            else:
                return


@pytest.mark.both
async def test_nothing_is_lost_while_an_owner_waits(kafka: KafkaKind) -> None:
    """A read that is given up, as for a timer, loses no command."""
    log = await kafka.open()
    async with owning(log) as partition:
        reading = asyncio.create_task(partition.read(9))
        await asyncio.sleep(0.01)
        reading.cancel()
        await log.append([replace(command("c1"), partition=partition.number)])
        async with asyncio.timeout(SOON_S):
            while not (found := await partition.read(9)):
                pass
    assert ids(found) == ["c1"]


class FixedExtent:
    """An extent as the read models might have it."""

    def __init__(self, found: StreamExtent | None) -> None:
        self.found = found

    async def find(self, stream: str) -> StreamExtent | None:
        """Return what is known."""
        return self.found


@pytest.mark.both
@pytest.mark.parametrize("last_sequence", [None, 5])
@pytest.mark.parametrize("ahead_s", [-3600, -10, 86_400, None])
async def test_a_stream_is_read_from_where_it_began(
    kafka: KafkaKind, ahead_s: int | None, last_sequence: int | None
) -> None:
    """All its events are found, however wrong the clock was, its end known or not."""
    plain = await kafka.open()
    await plain.append([event_record(1, f"old-{n}") for n in range(50)])
    await asyncio.sleep(0.1)
    now_us = time.time_ns() // 1000
    await plain.append([event_record(n) for n in range(1, 6)])
    await plain.append([event_record(1, f"new-{n}") for n in range(50)])
    extent = None
    if ahead_s is not None:
        extent = StreamExtent(now_us + ahead_s * 1_000_000, last_sequence)
    log = KafkaLog(
        kafka.settings, LogSettings(poll_interval_s=0.3), FixedExtent(extent)
    )
    kafka.logs.append(log)
    await log.open()

    assert [r.envelope.sequence for r in await log.stream(STREAM)] == [1, 2, 3, 4, 5]
    assert [r.envelope.sequence for r in await log.stream(STREAM, 2, 2)] == [3, 4]
    last = await log.last_event(STREAM)
    assert last is not None
    assert last.envelope.sequence == 5
    assert await log.stream("execution-p:d:nobody") == []

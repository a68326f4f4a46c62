"""A transaction that somebody leaves open hides nothing from an owner, on a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from infra.errors import TransientError
from infra.eventlog.contract import Record
from infra.eventlog.kafka.log import KafkaLog
from infra.eventlog.kafka.owned_partition import KafkaPartition
from schemas import topics as t
from schemas.envelope import Envelope
from schemas.messages import execution_events as e
from schemas.messages.outcomes import CommandRejected
from schemas.messages.snapshots import Checkpoint
from schemas.wire import codec
from tests.contract.conftest import PARTITIONS, STREAMS, KafkaKind
from tests.contract.owning import assert_gapless
from tests.contract.records import event_record
from tests.support.engine import created
from tests.support.memory_log import stored_event
from workers.propeller.restore import read_partition
from workers.propeller.stream_kinds import STREAM_KINDS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SOON_S = 30


def answer_to(stream: str) -> Record:
    """The answer to a command of a stream that was refused."""
    message = CommandRejected(
        command_id="x", command_type="y", reason="INVALID_ARGUMENT", detail="no"
    )
    return Record(
        topic=t.EVENTS,
        key=stream,
        envelope=Envelope(
            id="x/outcome",
            type=codec.type_name(message),
            stream=stream,
            causation="x",
            reply=True,
        ),
        body=codec.encode(message),
    )


@asynccontextmanager
async def owned(kafka: KafkaKind, number: int) -> AsyncIterator[KafkaPartition]:
    """Own a partition of commands, without a group."""
    at = TopicPartition(kafka.settings.prefix + t.COMMANDS, number)
    partition = KafkaPartition(kafka.settings, "propeller", at, 0.3)
    await partition.open()
    try:
        yield partition
    finally:
        await partition.close()


@asynccontextmanager
async def left_open(
    kafka: KafkaKind, record: Record, partition: int
) -> AsyncIterator[AIOKafkaProducer]:
    """Leave a transaction open on a partition, as an older version would."""
    prefix = kafka.settings.prefix
    async with AIOKafkaProducer(
        bootstrap_servers=kafka.settings.bootstrap_servers,
        transactional_id=f"{prefix}frozen",
        transaction_timeout_ms=60_000,
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(
            prefix + record.topic, record.body, record.key.encode(), partition
        )
        yield producer


async def stream_on(log: KafkaLog, number: int) -> str:
    """A stream that lives on a partition."""
    homes = {stream: await log.partition_for_stream(stream) for stream in STREAMS}
    return next(stream for stream, home in homes.items() if home == number)


async def restored(log: KafkaLog, number: int, stream: str) -> int:
    """The sequence up to which a stream is restored; 0 if it isn't."""
    found = await read_partition(log, STREAM_KINDS, number)
    return found.active[stream].sequence if stream in found.active else 0


async def test_an_owner_that_freezes_hides_nothing_of_others(kafka: KafkaKind) -> None:
    """The answer in its open transaction is on its own partition, whatever its key."""
    log = await kafka.open()
    stream = await stream_on(log, 1)
    async with owned(kafka, 0) as frozen, owned(kafka, 1) as before:
        await before.commit([stored_event(stream, 1, created())], 1)
        await frozen._producer.begin_transaction()
        await frozen._send([answer_to(stream)])
        started = stored_event(stream, 2, e.ExecutionStarted(occurred_at_us=2))
        await before.commit([started], 2)
        async with owned(kafka, 1) as after:
            async with asyncio.timeout(SOON_S):
                sequence = await restored(log, 1, stream)
            aborting = e.ExecutionAborting(
                occurred_at_us=3, cause="enough", principal="me"
            )
            await after.commit([stored_event(stream, sequence + 1, aborting)], 3)
    await assert_gapless(log, stream)
    assert sequence == 2


async def test_an_open_transaction_of_another_is_waited_for(kafka: KafkaKind) -> None:
    """An older version answers on the stream's partition: no event behind is missed."""
    log = await kafka.open()
    stream = await stream_on(log, 1)
    async with owned(kafka, 1) as partition:
        await partition.commit([stored_event(stream, 1, created())], 1)
        async with left_open(kafka, answer_to(stream), 1) as foreign:
            started = stored_event(stream, 2, e.ExecutionStarted(occurred_at_us=2))
            await partition.commit([started], 2)
            restoring = asyncio.create_task(restored(log, 1, stream))
            async with asyncio.timeout(SOON_S):
                while not log.waiting_reads:
                    await asyncio.sleep(0.05)
            assert not restoring.done()
            await foreign.abort_transaction()
            async with asyncio.timeout(SOON_S):
                assert await restoring == 2
    assert log.waiting_reads == 0


async def test_the_wait_for_a_transaction_is_bounded(kafka: KafkaKind) -> None:
    """The error says what is in the way; nothing behind it was read as all there is."""
    kafka.settings = kafka.settings.model_copy(
        update={"open_transaction_timeout_s": 1.5}
    )
    log = await kafka.open()
    stream = await stream_on(log, 1)
    async with left_open(kafka, answer_to(stream), 1) as foreign:
        async with owned(kafka, 1) as partition:
            await partition.commit([stored_event(stream, 1, created())], 1)
        with pytest.raises(TransientError, match="has a transaction open"):
            await log.stream(stream)
        assert log.waiting_reads == 0
        await foreign.abort_transaction()
        assert [r.envelope.sequence for r in await log.stream(stream)] == [1]


async def test_what_an_owner_writes_stays_on_its_partition(kafka: KafkaKind) -> None:
    """Events, answers and snapshots; what goes to others goes by its key."""
    log = await kafka.open()
    foreign = await stream_on(log, 1)
    checkpoint = Checkpoint(events_offset=1, forgotten=0)
    snapshot = Record(
        topic=t.SNAPSHOTS,
        key=foreign,
        envelope=Envelope(id="checkpoint", type=codec.type_name(checkpoint), stream=""),
        body=codec.encode(checkpoint),
    )
    child = Record(
        topic=t.COMMANDS,
        key=foreign,
        envelope=Envelope(id="child", type="t", stream=foreign),
        body=b"create",
    )
    async with owned(kafka, 2) as partition:
        records = [event_record(1, foreign), answer_to(foreign), snapshot, child]
        await partition.commit(records, None)
    places = {
        topic: {
            received.partition
            async for batch in log.read_to_end(topic, {}, 99)
            for received in batch
        }
        for topic in (t.EVENTS, t.SNAPSHOTS, t.COMMANDS)
    }
    assert places == {t.EVENTS: {2}, t.SNAPSHOTS: {2}, t.COMMANDS: {1}}
    assert PARTITIONS > 2

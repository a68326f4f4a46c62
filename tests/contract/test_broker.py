"""What brokers do that the adapter stands on: a real one, and the one in memory.

The simulation finds only what its broker does as a real one would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from aiokafka.errors import CommitFailedError, KafkaError

from infra.eventlog.kafka import clients, topics
from infra.eventlog.kafka.clients import new_consumer, new_group_member, new_producer
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.setting_sections.storage import KafkaSettings
from schemas import topics as t
from tests.contract.conftest import PARTITIONS, KafkaKind

pytestmark = [pytest.mark.integration, pytest.mark.both, pytest.mark.timeout(120)]

SOON_S = 40


@pytest.fixture(autouse=True)
def long_transactions(kafka: KafkaKind) -> None:
    """Transactions stay open for seconds here: nothing may abort them meanwhile."""
    kafka.settings = kafka.settings.model_copy(update={"transaction_timeout_s": SOON_S})


@asynccontextmanager
async def started(*found: Any) -> AsyncIterator[None]:
    """Start clients, and stop them in the end."""
    try:
        for client in found:
            await client.start()
        yield
    finally:
        for client in found:
            await client.stop()


async def at_of(kafka: KafkaKind, topic: str = t.EVENTS) -> TopicPartition:
    """The first partition of a topic, once topics are there."""
    await topics.create(kafka.settings)
    return TopicPartition(kafka.settings.prefix + topic, 0)


async def read(consumer: Any, count: int) -> list[bytes]:
    """The values of the next messages: so many, or fewer if no more come."""
    found: list[bytes] = []
    for _ in range(20):
        batch = await consumer.getmany(timeout_ms=200)
        found += [m.value for messages in batch.values() for m in messages]
        if len(found) >= count:
            break
    return found


async def test_an_open_transaction_hides_what_follows(kafka: KafkaKind) -> None:
    """Who reads what is committed gets no further; markers take offsets."""
    at = await at_of(kafka)
    frozen, other = new_producer(kafka.settings, "frozen"), new_producer(kafka.settings)
    reader = new_consumer(kafka.settings)
    async with started(frozen, other, reader):
        await other.send_and_wait(at.topic, b"before", partition=0)
        await frozen.begin_transaction()
        await frozen.send_and_wait(at.topic, b"aborted", partition=0)
        await other.send_and_wait(at.topic, b"behind", partition=0)
        reader.assign([at])
        await reader.seek_to_beginning(at)
        assert await read(reader, 3) == [b"before"]
        assert (await reader.end_offsets([at]))[at] == 1
        await frozen.abort_transaction()
        assert await read(reader, 1) == [b"behind"]
        async with asyncio.timeout(SOON_S):
            while await reader.position(at) < 4:  # past the marker, without a message
                await reader.getmany(timeout_ms=100)
        assert (await reader.end_offsets([at]))[at] == 4


async def test_a_transaction_is_whole_and_its_producer_the_only_one(
    kafka: KafkaKind,
) -> None:
    """Two partitions and an offset come together; a newer producer ends the older."""
    at = await at_of(kafka)
    other = TopicPartition(at.topic, 1)
    producer, reader = new_producer(kafka.settings, "id"), new_consumer(kafka.settings)
    group = kafka.settings.prefix + "g"
    async with started(producer, reader):
        reader.assign([at, other])
        await reader.seek_to_beginning(at, other)
        await producer.begin_transaction()
        for number in (0, 1):
            await producer.send_and_wait(at.topic, b"x", partition=number)
        await producer.send_offsets_to_transaction({at: 7}, group)
        assert await read(reader, 1) == []
        assert await clients.committed_offsets(kafka.settings, "g", (at,)) in (
            {}, {0: 0},
        )  # fmt: skip
        await producer.commit_transaction()
        assert await read(reader, 2) == [b"x", b"x"]
        assert await clients.committed_offsets(kafka.settings, "g", (at,)) == {0: 7}
        await producer.begin_transaction()
        await producer.send_and_wait(at.topic, b"lost", partition=0)
        newer = new_producer(kafka.settings, "id")
        async with started(newer):
            with pytest.raises(KafkaError):
                await producer.commit_transaction()
            await newer.begin_transaction()
            await newer.send_and_wait(at.topic, b"new", partition=0)
            await newer.commit_transaction()
        assert await read(reader, 1) == [b"new"]


async def test_a_reader_of_what_is_deleted_goes_on_at_what_is_left(
    kafka: KafkaKind,
) -> None:
    """Retention passes a reader: it is told only if it asked to be."""
    at = await at_of(kafka)
    producer, reader = new_producer(kafka.settings), new_consumer(kafka.settings)
    async with started(producer, reader):
        for number in range(6):
            await producer.send_and_wait(at.topic, b"%d" % number, partition=0)
        admin = topics.AIOKafkaAdminClient(
            bootstrap_servers=kafka.settings.bootstrap_servers
        )
        await admin.start()
        await admin.delete_records({at: RecordsToDelete(before_offset=4)})
        await admin.close()
        reader.assign([at])
        reader.seek(at, 1)
        assert await read(reader, 2) == [b"4", b"5"]
        assert (await reader.beginning_offsets([at]))[at] == 4
        found = (await reader.offsets_for_times({at: 0}))[at]
        assert found is not None
        assert found.offset == 4


class Member:
    """A member of a group that polls, and knows what it has."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.assigned: frozenset[int] = frozenset()
        self.client = new_group_member(settings, "members")
        self.client.subscribe([topic], listener=AssignmentListener(self._on_assigned))

    def _on_assigned(self, assigned: Any) -> None:
        self.assigned = frozenset(at.partition for at in assigned)
        self.client.pause(*assigned)


async def until_shared(*members: Member, count: int = PARTITIONS) -> None:
    """Wait until members have all partitions, each one of them once."""
    async with asyncio.timeout(SOON_S):
        while True:
            for member in members:
                await member.client.getmany(timeout_ms=50)
            numbers = sorted(n for member in members for n in member.assigned)
            if numbers == list(range(count)) and all(m.assigned for m in members):
                return


async def test_members_share_and_take_over(kafka: KafkaKind) -> None:
    """Who joins gets a share, who leaves gives it back; only its owner commits."""
    at = await at_of(kafka)
    one, two = Member(kafka.settings, at.topic), Member(kafka.settings, at.topic)
    async with started(one.client):
        await until_shared(one)
        before = one.assigned
        await one.client.commit(
            {TopicPartition(at.topic, number): 3 for number in before}
        )
        async with started(two.client):
            await until_shared(one, two)
            (lost, *_) = before - one.assigned
            with pytest.raises((CommitFailedError, KafkaError)):
                await one.client.commit({TopicPartition(at.topic, lost): 5})
            (own, *_) = two.assigned
            await two.client.commit({TopicPartition(at.topic, own): 4})
        await until_shared(one)
    stored = await clients.committed_offsets(
        kafka.settings, "members", [TopicPartition(at.topic, n) for n in before]
    )
    assert sorted(stored.values()) == [3] * (PARTITIONS - 1) + [4]


async def test_partitions_can_be_added(kafka: KafkaKind) -> None:
    """An operator does it while members run: who joins later gets the new ones."""
    at = await at_of(kafka)
    one, two = Member(kafka.settings, at.topic), Member(kafka.settings, at.topic)
    async with started(one.client):
        await until_shared(one)
        admin = topics.AIOKafkaAdminClient(
            bootstrap_servers=kafka.settings.bootstrap_servers
        )
        await admin.start()
        await admin.create_partitions({at.topic: NewPartitions(PARTITIONS + 2)})
        await admin.close()
    async with started(two.client):
        await until_shared(two, count=PARTITIONS + 2)

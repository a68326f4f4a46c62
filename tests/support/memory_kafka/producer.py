"""aiokafka's producer, of a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import (
    IllegalOperation,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
    ProducerFenced,
)
from aiokafka.structs import RecordMetadata

from tests.support.memory_kafka.broker import Broker, broker_of
from tests.support.memory_kafka.calls import call
from tests.support.memory_kafka.partition import Message

Waiting = tuple[TopicPartition, Message, "asyncio.Future[RecordMetadata]"]


class _Client:
    """What is used of a producer's own client."""

    async def force_metadata_update(self) -> None:
        """Do nothing: partitions are looked up each time."""
        await asyncio.sleep(0)


class MemoryProducer:
    """Sends what was given since the last request, in order, request by request."""

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        transactional_id: str | None = None,
        transaction_timeout_ms: int = 60_000,
        max_request_size: int = 1_048_576,
        **_others: Any,
    ) -> None:
        """Prepare; `start` connects, and fences who has the same transactional id."""
        self.client = _Client()
        self._broker: Broker = broker_of(bootstrap_servers)
        self._id = transactional_id
        self._timeout_s = transaction_timeout_ms / 1000
        self._size_max = max_request_size
        self._epoch = 0
        self._waiting: list[Waiting] = []
        self._sending: asyncio.Task[None] | None = None
        self._error: KafkaError | None = None
        self._in_transaction = False
        self._closed = False

    async def start(self) -> None:
        """Connect."""
        if self._id is None:
            return
        name, timeout_s = self._id, self._timeout_s
        _, self._epoch = await call(
            self._broker, lambda: self._broker.init_producer(name, timeout_s)
        )

    async def stop(self) -> None:
        """Send what is waiting, and disconnect; an open transaction stays open."""
        if self._closed:
            return
        self._closed = True
        await self.flush()

    async def partitions_for(self, topic: str) -> set[int]:
        """Return the numbers of a topic's partitions."""
        await asyncio.sleep(0)
        found = self._broker.topics.get(topic)
        return set(range(len(found.partitions))) if found else set()

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Queue a message; the future tells that it is stored."""
        if self._closed:
            raise ProducerClosed
        if self._id is not None and not self._in_transaction:
            raise IllegalOperation("Can't send messages while not in transaction")
        if self._error is not None:
            raise self._error
        message = Message(key, value, tuple(headers or ()))
        if len(value or b"") + len(key or b"") > self._size_max:
            raise MessageSizeTooLargeError("larger than max_request_size")
        assert partition is not None, "the engine always names the partition"
        sent: asyncio.Future[RecordMetadata] = (
            asyncio.get_running_loop().create_future()
        )
        self._waiting.append((TopicPartition(topic, partition), message, sent))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        return sent

    async def send_and_wait(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes]] | None = None,
    ) -> RecordMetadata:
        """Send a message and wait until it is stored."""
        sent = await self.send(topic, value, key, partition, timestamp_ms, headers)
        return await sent

    async def flush(self) -> None:
        """Wait until nothing is left to be sent."""
        while self._sending is not None and not self._sending.done():
            await asyncio.wait([self._sending])

    async def _send_all(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            by_partition: dict[TopicPartition, list[Waiting]] = {}
            for waiting in taken:
                by_partition.setdefault(waiting[0], []).append(waiting)
            for at, batch in by_partition.items():
                await self._send_batch(at, batch)

    async def _send_batch(self, at: TopicPartition, batch: Sequence[Waiting]) -> None:
        messages = [message for _, message, _ in batch]
        broker, name, epoch = self._broker, self._id, self._epoch
        try:
            first = await call(
                broker, lambda: broker.produce(at, messages, name, epoch)
            )
        except KafkaError as error:
            self._fail(error)
            for _, _, sent in batch:
                if not sent.done():
                    sent.set_exception(error)
            return
        for number, (_, _, sent) in enumerate(batch):
            if not sent.done():
                sent.set_result(_metadata(at, first + number))

    def _fail(self, error: KafkaError) -> None:
        """Remember what makes a transactional producer useless."""
        if self._id is not None and isinstance(error, ProducerFenced):
            self._error = error

    async def begin_transaction(self) -> None:
        """Begin; the broker hears of it with the first message."""
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        if self._id is None or self._in_transaction:
            raise IllegalOperation("Not transactional, or already in a transaction")
        self._in_transaction = True

    async def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, int], group_id: str
    ) -> None:
        """Move a group's offsets with the transaction."""
        name, epoch, broker = self._transactional(), self._epoch, self._broker
        await self._call(lambda: broker.add_offsets(name, epoch, group_id, offsets))

    async def commit_transaction(self) -> None:
        """Commit, once all messages are stored."""
        await self._end(commits=True)

    async def abort_transaction(self) -> None:
        """Abort."""
        await self._end(commits=False)

    async def _end(self, *, commits: bool) -> None:
        name, epoch, broker = self._transactional(), self._epoch, self._broker
        await self.flush()
        if self._error is not None:
            raise self._error
        await self._call(lambda: broker.end_transaction(name, epoch, commits=commits))
        self._in_transaction = False

    def _transactional(self) -> str:
        if self._error is not None:
            raise self._error
        if self._id is None or not self._in_transaction:
            raise IllegalOperation("Not in a transaction")
        return self._id

    async def _call(self, action: Any) -> None:
        try:
            await call(self._broker, action)
        except KafkaError as error:
            self._fail(error)
            raise


def _metadata(at: TopicPartition, offset: int) -> RecordMetadata:
    return RecordMetadata(at.topic, at.partition, at, offset, -1, 1, 0)

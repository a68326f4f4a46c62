"""A broker in memory: topics, transactional producers, groups. All of it is at once.

What takes time, and may be interrupted, are its clients' calls: `memory_kafka.calls`.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    MessageSizeTooLargeError,
    ProducerFenced,
    UnknownTopicOrPartitionError,
)

from tests.support.memory_kafka.groups import Group
from tests.support.memory_kafka.partition import (
    Message,
    Partition,
    Status,
    Transaction,
)

UNLIMITED = -1
DEFAULTS: Mapping[str, str] = {
    "cleanup.policy": "delete",
    "retention.ms": "604800000",
    "retention.bytes": "-1",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "unclean.leader.election.enable": "false",
}


def system_ms() -> int:
    """Return the time of day of the machine."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True, repr=False)
class Topic:
    """A topic: its partitions, and what is configured for it."""

    partitions: list[Partition]
    configs: dict[str, str]

    def config(self, name: str) -> str:
        """Return what is configured, or the broker's default."""
        return self.configs.get(name, DEFAULTS[name])


@dataclass(slots=True, repr=False)
class Producer:
    """A transactional id: only its newest epoch may write."""

    id: int
    epoch: int = 0
    timeout_s: float = 60.0
    transaction: Transaction | None = None


@dataclass(slots=True, repr=False)
class Broker:
    """A broker that its clients find by its name, where others have an address.

    `delay_s` is asked for how long each way of a call takes.
    """

    name: str
    now_ms: Callable[[], int] = system_ms
    delay_s: Callable[[], float] = lambda: 0.0
    topics: dict[str, Topic] = field(default_factory=dict)
    producers: dict[str, Producer] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    # Its timers go on whatever becomes of the client that set them off.
    context: contextvars.Context = field(default_factory=contextvars.Context)

    def create(self, topic: str, count: int, configs: Mapping[str, str]) -> bool:
        """Create a topic; False if it exists."""
        if topic in self.topics:
            return False
        partitions = [Partition(topic, number) for number in range(count)]
        self.topics[topic] = Topic(partitions, dict(configs))
        return True

    def add_partitions(self, topic: str, count: int) -> None:
        """Let a topic have so many partitions."""
        found = self.topics[topic].partitions
        found += [Partition(topic, number) for number in range(len(found), count)]

    def partition(self, at: TopicPartition) -> Partition:
        """Return a partition; raises UnknownTopicOrPartitionError."""
        topic = self.topics.get(at.topic)
        if topic is None or at.partition >= len(topic.partitions):
            raise UnknownTopicOrPartitionError(f"{at.topic}/{at.partition}")
        return topic.partitions[at.partition]

    def group(self, name: str) -> Group:
        """Return a group, a new one if there is none of this name."""
        if name not in self.groups:
            self.groups[name] = Group(name, self.context, self._count)
        return self.groups[name]

    def _count(self, topic: str) -> int:
        found = self.topics.get(topic)
        return len(found.partitions) if found else 0

    def init_producer(self, transactional_id: str, timeout_s: float) -> tuple[int, int]:
        """Fence older producers of an id, end what they left open."""
        known = self.producers.setdefault(
            transactional_id, Producer(len(self.producers) + 1, epoch=-1)
        )
        if known.transaction is not None:
            self._end(known, Status.ABORTED)
        known.epoch += 1
        known.timeout_s = timeout_s
        return known.id, known.epoch

    def produce(
        self,
        at: TopicPartition,
        messages: Sequence[Message],
        transactional_id: str | None = None,
        epoch: int = 0,
    ) -> int:
        """Append messages; return the first one's offset."""
        partition = self.partition(at)
        limit = int(self.topics[at.topic].config("max.message.bytes"))
        if any(_size(message) > limit for message in messages):
            raise MessageSizeTooLargeError("larger than max.message.bytes")
        transaction = None
        if transactional_id is not None:
            transaction = self._transaction(transactional_id, epoch)
            transaction.touch(partition)
        now_ms = self.now_ms()
        offsets = [partition.append(m, now_ms, transaction) for m in messages]
        return offsets[0]

    def add_offsets(
        self,
        transactional_id: str,
        epoch: int,
        group: str,
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        """Let a transaction move the offsets of a group."""
        transaction = self._transaction(transactional_id, epoch)
        transaction.offsets += [
            (group, at.topic, at.partition, offset) for at, offset in offsets.items()
        ]

    def end_transaction(
        self, transactional_id: str, epoch: int, *, commits: bool
    ) -> None:
        """Commit or abort what is open, if anything is."""
        known = self._known(transactional_id, epoch)
        if known.transaction is not None:
            self._end(known, Status.COMMITTED if commits else Status.ABORTED)

    def _known(self, transactional_id: str, epoch: int) -> Producer:
        known = self.producers[transactional_id]
        if known.epoch > epoch:
            raise ProducerFenced("another producer has this transactional id")
        if known.epoch < epoch:
            raise InvalidProducerEpoch("an epoch that was never given")
        return known

    def _transaction(self, transactional_id: str, epoch: int) -> Transaction:
        known = self._known(transactional_id, epoch)
        if known.transaction is None:
            loop = asyncio.get_running_loop()
            began = known.transaction = Transaction(loop.time())
            loop.call_later(
                known.timeout_s, self._time_out, known, began, context=self.context
            )
        if known.transaction.status is not Status.OPEN:
            raise ConcurrentTransactions("the last one isn't over")
        return known.transaction

    def _time_out(self, known: Producer, transaction: Transaction) -> None:
        """Abort a transaction that was open for too long, and fence its producer."""
        if known.transaction is transaction:
            self._end(known, Status.ABORTED)
            known.epoch += 1

    def _end(self, known: Producer, status: Status) -> None:
        transaction, known.transaction = known.transaction, None
        assert transaction is not None
        transaction.status = status
        for partition in transaction.touched:
            partition.close(transaction, self.now_ms())
        if status is Status.COMMITTED:
            for group, topic, number, offset in transaction.offsets:
                self.group(group).offsets[topic, number] = offset

    def delete_expired(self) -> None:
        """Delete messages that are older than their topic's retention."""
        for topic in self.topics.values():
            if topic.config("cleanup.policy") == "compact":
                continue
            kept_ms = int(topic.config("retention.ms"))
            if kept_ms == UNLIMITED:
                continue
            for partition in topic.partitions:
                first = partition.since(self.now_ms() - kept_ms)
                partition.delete_before(
                    partition.end if first is None else first.offset
                )

    def compact(self) -> None:
        """Compact the topics for which that is configured."""
        for topic in self.topics.values():
            if topic.config("cleanup.policy") == "compact":
                for partition in topic.partitions:
                    partition.compact()


def _size(message: Message) -> int:
    headers = sum(len(name) + len(value) for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers


BROKERS: dict[str, Broker] = {}
"""The brokers that clients find by name."""


def broker_of(bootstrap_servers: str) -> Broker:
    """Return the broker of this name."""
    return BROKERS[bootstrap_servers]

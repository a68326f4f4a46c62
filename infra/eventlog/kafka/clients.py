"""aiokafka's clients with the engine's settings, and calls through them.

Errors of the broker become the engine's here, and its messages records of the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from functools import lru_cache
from typing import Literal, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata

from infra.errors import Dependency, PermanentError, PositionLostError, TransientError
from infra.eventlog.contract import Received, Record
from infra.eventlog.kafka.records import received
from infra.retry import StrayCancellationError, uncancelled
from infra.setting_sections.storage import KafkaSettings
from schemas import topics

_RETRY_MS = 10
"""After a commit the broker may ask for one retry: aiokafka waits this long."""
_CLOSE_S = 5.0
_POSITIVE = 0x7FFFFFFF
_LOST = (OffsetOutOfRangeError, NoOffsetForPartitionError)
_ONE_PARTITION = frozenset({topics.REGISTRY, topics.DEAD_LETTERS})

_T = TypeVar("_T")


def new_producer(
    settings: KafkaSettings, transactional_id: str | None = None
) -> AIOKafkaProducer:
    """Return a producer that waits for every replica, and never lingers."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=round(settings.request_timeout_s * 1000),
        max_request_size=settings.message_bytes_max,
        retry_backoff_ms=_RETRY_MS,
        transactional_id=transactional_id,
        transaction_timeout_ms=round(settings.transaction_timeout_s * 1000),
    )


def new_consumer(
    settings: KafkaSettings,
    *,
    group: str | None = None,
    group_instance_id: str | None = None,
    fetch_max_wait_ms: int = 500,
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed",
    skips_deleted: bool = True,
) -> AIOKafkaConsumer:
    """Return a consumer of committed records, which commits nothing by itself.

    Unless it `skips_deleted`, reading on from messages that are deleted by now, or from
    no position at all, is an error.
    """
    timeout_s = settings.request_timeout_s + settings.session_timeout_s
    return AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        group_id=group and settings.prefix + group,
        group_instance_id=group_instance_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest" if skips_deleted else "none",
        isolation_level=isolation_level,
        request_timeout_ms=round(timeout_s * 1000),
        session_timeout_ms=round(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=round(settings.heartbeat_interval_s * 1000),
        metadata_max_age_ms=round(settings.metadata_max_age_s * 1000),
        fetch_max_bytes=settings.fetch_bytes_max,
        max_partition_fetch_bytes=min(
            settings.message_bytes_max, settings.fetch_bytes_max
        ),
        fetch_max_wait_ms=fetch_max_wait_ms,
    )


def new_group_member(
    settings: KafkaSettings, group: str, *, skips_deleted: bool = True
) -> AIOKafkaConsumer:
    """Return a member of a group, a static one if the process has a name."""
    name = settings.group_instance_id
    static = f"{name}/{group}" if name else None
    return new_consumer(
        settings,
        group=group,
        group_instance_id=static,
        skips_deleted=skips_deleted,
    )


async def call(reply: Awaitable[_T]) -> _T:
    """Return the broker's reply to a call; raises TransientError."""
    try:
        return await uncancelled(reply)
    except (KafkaError, OSError) as error:
        raise unreachable(error) from error


async def close_client(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer, and its connections in any case.

    It cancels its fetches and waits for them. Of one that an error has put off for a
    moment, aiokafka lets the cancellation reach the caller, before connections are
    closed; one that is assigned partitions at that moment may wait for ever.
    """
    try:
        async with asyncio.timeout(_CLOSE_S):
            await uncancelled(consumer.stop())
    except (StrayCancellationError, TimeoutError, asyncio.CancelledError) as error:
        await consumer._client.close()  # noqa: SLF001 - the last step of its own stop
        if isinstance(error, asyncio.CancelledError):
            raise


def unreachable(error: Exception) -> TransientError:
    """Return the error of a call that the broker didn't answer, or not well."""
    return TransientError(f"Cannot reach Kafka: {error!r}", of=Dependency.KAFKA)


def too_large(error: MessageSizeTooLargeError) -> PermanentError:
    """Return the error of a message that is larger than the broker takes."""
    return PermanentError(f"Expected a record that the log can store, but: {error}")


def retrieve_error(sending: asyncio.Future[RecordMetadata]) -> None:
    """Retrieve the error, in case nobody waits any more: asyncio would warn."""
    if not sending.cancelled():
        sending.exception()


async def fetch(
    consumer: AIOKafkaConsumer, *, wait_ms: int, limit: int, prefix: str
) -> Sequence[Received]:
    """Return the next messages of a consumer; none if no new one arrives in time.

    Raises TransientError, and PositionLostError if they are deleted, by a consumer
    that doesn't skip those.
    """
    try:
        found = await call(consumer.getmany(timeout_ms=wait_ms, max_records=limit))
    except TransientError as error:
        if isinstance(error.__cause__, _LOST):
            raise PositionLostError(
                f"Expected the next messages, but they are deleted: {error.__cause__!r}"
            ) from error
        raise
    return [received(message, prefix) for batch in found.values() for message in batch]


async def end_offsets(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the offset after the last message of each partition.

    A consumer of committed records sees nothing from the first open transaction on.
    """
    found: dict[TopicPartition, int] = await call(consumer.end_offsets(partitions))
    return found


async def committed_offsets(
    settings: KafkaSettings, group: str, partitions: Iterable[TopicPartition]
) -> dict[int, int]:
    """Return a group's committed offset of each partition that it has one of."""
    consumer, found = new_consumer(settings, group=group), dict[int, int]()
    try:
        await call(consumer.start())
        for at in partitions:
            consumer.assign([at])
            offset = await call(consumer.committed(at))
            if offset is not None:
                found[at.partition] = offset
    finally:
        await close_client(consumer)
    return found


def partition_for_record(record: Record, settings: KafkaSettings) -> int:
    """Return the partition of a record: the one it names, or that of its key."""
    if record.partition is not None:
        return record.partition
    return partition_for_key(record.topic, record.key, settings)


def partition_for_key(topic: str, key: str, settings: KafkaSettings) -> int:
    """Return the partition of a topic that a key belongs to.

    By the number of partitions that is configured, never by that of the broker: it
    may grow while the engine runs, and streams must not move. A key is in the same
    partition of every topic that has several.
    """
    return _hash(key) % partitions_of(topic, settings)


def partitions_of(topic: str, settings: KafkaSettings) -> int:
    """Return how many partitions of a topic the engine uses."""
    return 1 if topic in _ONE_PARTITION else settings.partitions


@lru_cache(maxsize=10_000)
def _hash(key: str) -> int:
    """Return murmur2 of a key, as every Kafka client does; it is slow in Python."""
    return int(murmur2(key.encode()) & _POSITIVE)

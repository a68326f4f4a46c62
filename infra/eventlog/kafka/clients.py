"""Clients of a broker with our settings, and which partition a record goes to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

from infra.errors import PermanentError
from infra.eventlog.contract import Record
from infra.setting_sections import KafkaSettings

_RETRY_MS = 10
"""After a commit the broker may ask for patience once: aiokafka waits this long."""
_POSITIVE = 0x7FFFFFFF


def new_producer(settings: KafkaSettings, **more: Any) -> AIOKafkaProducer:
    """Return a producer that waits for every copy, and never lingers."""
    return AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap_servers,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=round(settings.request_timeout_s * 1000),
        max_request_size=settings.message_bytes_max,
        retry_backoff_ms=_RETRY_MS,
        **more,
    )


def new_consumer(
    settings: KafkaSettings, *topics: str, group_id: str | None = None, **more: Any
) -> AIOKafkaConsumer:
    """Return a consumer of committed records, which commits nothing by itself."""
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=settings.bootstrap_servers,
        group_id=group_id and settings.prefix + group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        request_timeout_ms=round(
            (settings.request_timeout_s + settings.session_timeout_s) * 1000
        ),
        session_timeout_ms=round(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=round(settings.heartbeat_interval_s * 1000),
        max_partition_fetch_bytes=settings.message_bytes_max,
        **more,
    )


def new_group_member(
    settings: KafkaSettings, group: str, **more: Any
) -> AIOKafkaConsumer:
    """Return a member of a group; one of a named process stays it over a restart."""
    static = (
        f"{settings.group_instance_id}/{group}" if settings.group_instance_id else None
    )
    return new_consumer(settings, group_id=group, group_instance_id=static, **more)


async def partition_for_record(
    producer: AIOKafkaProducer, record: Record, prefix: str = ""
) -> int:
    """Return where a record goes: to the partition it names, or that of its key.

    The same key is in the same partition of every topic that has as many.
    """
    if record.partition is not None:
        return record.partition
    return await partition_for_key(producer, prefix + record.topic, record.key)


async def partition_for_key(producer: AIOKafkaProducer, topic: str, key: str) -> int:
    """Return the partition of a topic that a key belongs to."""
    count = len(await producer.partitions_for(topic))
    if not count:
        message = f"Expected topic {topic}, but it has no partitions"
        raise PermanentError(message)
    return _hash(key) % count


@lru_cache(maxsize=10_000)
def _hash(key: str) -> int:
    """Return what every Kafka client makes of a key: murmur2, costly in Python."""
    return int(murmur2(key.encode()) & _POSITIVE)

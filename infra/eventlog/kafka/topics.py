"""The topics on Kafka: their configuration; creating and describing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from infra.errors import PermanentError, TransientError
from infra.eventlog.kafka.clients import call
from infra.setting_sections import KafkaSettings
from schemas import topics

_POLL_S = 0.1
_DAY_MS = 86_400_000
_UNLIMITED = "-1"
_RETENTION_MS: Mapping[str, str] = {
    topics.COMMANDS: str(7 * _DAY_MS),
    topics.EVENTS: _UNLIMITED,
    topics.DISPATCHES: str(7 * _DAY_MS),
    topics.ABORTS: str(7 * _DAY_MS),
    topics.REGISTRY: _UNLIMITED,
    topics.NOTIFICATIONS: str(7 * _DAY_MS),
    topics.DEAD_LETTERS: str(28 * _DAY_MS),
}
_COMPACTED: Mapping[str, str] = {
    "cleanup.policy": "compact",
    "segment.bytes": str(32 * 2**20),
    "segment.ms": str(10 * 60_000),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": str(_DAY_MS),
}
"""The broker compacts closed segments only: by default those of 1 GiB or a week, and
the next owner of a partition would read all of it. Tombstones outlast the longest
restore: one that read a record before its deletion must read the tombstone, too."""
_ONE_PARTITION = frozenset({topics.REGISTRY, topics.DEAD_LETTERS})
ALL = (*_RETENTION_MS, topics.SNAPSHOTS)


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is, and how many partitions it should have."""

    name: str
    partitions: int
    expected: int
    replicas: int

    @property
    def is_valid(self) -> bool:
        """Return whether it exists with the number of partitions of the settings."""
        return self.partitions == self.expected


def partitions_of(topic: str, settings: KafkaSettings) -> int:
    """Return how many partitions a topic is created with."""
    return 1 if topic in _ONE_PARTITION else settings.partitions


async def create(settings: KafkaSettings) -> Sequence[str]:
    """Create missing topics; return their names once the broker shows them.

    Raises TransientError if no broker answers, PermanentError if one refuses.
    """
    async with _admin(settings) as admin:
        wanted = [_new(topic, settings) for topic in ALL]
        reply = await call(admin.create_topics(wanted))
    created = []
    for topic, code, *why in reply.topic_errors:
        refused = for_code(code)
        if refused is TopicAlreadyExistsError:
            continue
        if code:
            raise PermanentError(
                f"Expected to create topic {topic}, but: {refused.__name__} {why}"
            )
        created.append(topic.removeprefix(settings.prefix))
    await _wait_for_all(settings)
    return created


async def describe(settings: KafkaSettings) -> Sequence[TopicState]:
    """Return the state of each topic; a missing one has no partitions."""
    names = [settings.prefix + topic for topic in ALL]
    async with _admin(settings) as admin:
        found = await call(admin.describe_topics(names))
    known = {
        topic["topic"].removeprefix(settings.prefix): topic["partitions"]
        for topic in found
    }
    return [
        TopicState(
            name=name,
            partitions=len(known.get(name, ())),
            expected=partitions_of(name, settings),
            replicas=max((len(p["replicas"]) for p in known.get(name, ())), default=0),
        )
        for name in ALL
    ]


async def check(settings: KafkaSettings) -> None:
    """Raise PermanentError, which says what to do, if a topic isn't as required."""
    for topic in await describe(settings):
        if topic.is_valid:
            continue
        what = (
            f"it has {topic.partitions}: streams would change their partition"
            if topic.partitions
            else "it is missing: run `flightlog topics create`"
        )
        message = (
            f"Expected topic {topic.name} with {topic.expected} partitions, but {what}"
        )
        raise PermanentError(message)


async def _wait_for_all(settings: KafkaSettings) -> None:
    """Wait until every topic is visible: a broker shows new ones with a delay."""
    for _ in range(max(1, round(settings.request_timeout_s / _POLL_S))):
        if all(topic.partitions for topic in await describe(settings)):
            return
        await asyncio.sleep(_POLL_S)


def _new(topic: str, settings: KafkaSettings) -> NewTopic:
    configs = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(settings.message_bytes_max),
    }
    if topic == topics.SNAPSHOTS:
        configs |= _COMPACTED
    else:
        configs["retention.ms"] = _RETENTION_MS[topic]
    return NewTopic(
        settings.prefix + topic,
        partitions_of(topic, settings),
        settings.replication_factor,
        topic_configs=configs,
    )


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers,
        request_timeout_ms=round(settings.request_timeout_s * 1000),
    )
    try:
        await admin.start()
    except KafkaError as error:
        servers = settings.bootstrap_servers
        message = f"Cannot reach Kafka: no broker at {servers} answers ({error!r})"
        raise TransientError(message) from error
    try:
        yield admin
    finally:
        await admin.close()

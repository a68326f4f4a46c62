"""The topics on Kafka: what each is made like; making and describing them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from infra.errors import PermanentError, TransientError
from infra.setting_sections import KafkaSettings
from schemas import topics

_LOOK_S = 0.1
_DAY_MS = 86_400_000
_FOR_EVER = "-1"
_KEPT_MS: Mapping[str, str] = {
    topics.COMMANDS: str(7 * _DAY_MS),
    topics.EVENTS: _FOR_EVER,
    topics.DISPATCHES: str(7 * _DAY_MS),
    topics.ABORTS: str(7 * _DAY_MS),
    topics.REGISTRY: _FOR_EVER,
    topics.NOTIFICATIONS: str(7 * _DAY_MS),
    topics.DEAD_LETTERS: str(28 * _DAY_MS),
}
_COMPACTED: Mapping[str, str] = {
    "cleanup.policy": "compact",
    "segment.bytes": str(32 * 2**20),
    "segment.ms": str(10 * 60_000),
    "min.cleanable.dirty.ratio": "0.2",
    "delete.retention.ms": "60000",
}
"""The broker compacts closed segments only: by default those of 1 GiB or a week, and
whoever takes a partition up would read all of it."""
_ONE_PARTITION = frozenset({topics.REGISTRY, topics.DEAD_LETTERS})
ALL = (*_KEPT_MS, topics.SNAPSHOTS)


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """One topic as it is, and how many partitions it should have."""

    name: str
    partitions: int
    expected: int
    replicas: int

    @property
    def is_right(self) -> bool:
        """Tell whether it is there, with the partitions that the settings ask for."""
        return self.partitions == self.expected


def partitions_of(topic: str, settings: KafkaSettings) -> int:
    """Return how many partitions a topic is made with."""
    return 1 if topic in _ONE_PARTITION else settings.partitions


async def create(settings: KafkaSettings) -> Sequence[str]:
    """Make the topics that aren't there; return their names once the broker has them.

    Raises Transient if no broker answers, Permanent if one refuses.
    """
    async with _admin(settings) as admin:
        wanted = [_new(topic, settings) for topic in ALL]
        try:
            answer = await admin.create_topics(wanted)
        except KafkaError as error:
            message = f"Expected the broker to make topics, but: {error!r}"
            raise TransientError(message) from error
    made = []
    for topic, code, *why in answer.topic_errors:
        refused = for_code(code)
        if refused is TopicAlreadyExistsError:
            continue
        if code:
            message = f"Expected to make topic {topic}, but: {refused.__name__} {why}"
            raise PermanentError(message)
        made.append(topic.removeprefix(settings.prefix))
    await _appeared(settings)
    return made


async def describe(settings: KafkaSettings) -> Sequence[TopicState]:
    """Return how each topic is; one that is missing has no partitions."""
    async with _admin(settings) as admin:
        try:
            found = await admin.describe_topics(
                [settings.prefix + topic for topic in ALL]
            )
        except KafkaError as error:
            message = f"Expected the broker to describe topics, but: {error!r}"
            raise TransientError(message) from error
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
    """Raise Permanent, with a word on what to do, if a topic isn't as it must be."""
    for topic in await describe(settings):
        if topic.is_right:
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


async def _appeared(settings: KafkaSettings) -> None:
    """Wait until every topic can be seen: a broker tells of new ones a little later."""
    for _ in range(max(1, round(settings.request_timeout_s / _LOOK_S))):
        if all(topic.partitions for topic in await describe(settings)):
            return
        await asyncio.sleep(_LOOK_S)


def _new(topic: str, settings: KafkaSettings) -> NewTopic:
    configs = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(settings.message_bytes_max),
    }
    if topic == topics.SNAPSHOTS:
        configs |= _COMPACTED
    else:
        configs["retention.ms"] = _KEPT_MS[topic]
    return NewTopic(
        settings.prefix + topic,
        partitions_of(topic, settings),
        settings.replication_factor,
        topic_configs=configs,
    )


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> Any:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=settings.bootstrap_servers,
        request_timeout_ms=round(settings.request_timeout_s * 1000),
    )
    try:
        await admin.start()
    except KafkaError as error:
        message = f"Expected a broker at {settings.bootstrap_servers}, but: {error!r}"
        raise TransientError(message) from error
    try:
        yield admin
    finally:
        await admin.close()

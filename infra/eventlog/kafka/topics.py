"""The topics on Kafka: creating, mending, describing and checking them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from infra.errors import Dependency, PermanentError, TransientError
from infra.eventlog.contract import Positions
from infra.eventlog.kafka.clients import call, partitions_of
from infra.eventlog.kafka.topic_settings import (
    RETENTION_MS,
    Difference,
    configs_of,
    differences,
    mended,
)
from infra.eventlog.kafka.watermarks import Watermarks
from infra.setting_sections.storage import KafkaSettings
from schemas import topics

log_ = structlog.get_logger(__name__)

_POLL_S = 0.1
_SET_FOR_THE_TOPIC = 1
"""The source of a configuration that is the topic's own, in the broker's words."""
ALL = (*RETENTION_MS, topics.SNAPSHOTS)


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """A topic as it is, and how many partitions it should have.

    `differences` are where its configuration isn't as required.
    """

    name: str
    partitions: int
    expected: int
    replicas: int
    differences: Sequence[Difference] = ()

    @property
    def is_valid(self) -> bool:
        """Return whether it exists, and is as the settings and the engine require."""
        return self.partitions == self.expected and not self.serious

    @property
    def serious(self) -> Sequence[Difference]:
        """Return the differences with which a process doesn't start."""
        return [found for found in self.differences if not found.is_tolerated]

    @property
    def problem(self) -> str:
        """Return in words what isn't right about it; '' if nothing is wrong."""
        if not self.partitions:
            return "it is missing"
        found = [
            f"{difference.name}={difference.found} (expected {difference.expected})"
            for difference in self.differences
        ]
        if self.partitions != self.expected:
            found.insert(0, f"{self.partitions} partitions (expected {self.expected})")
        return ", ".join(found)


class Prepared(NamedTuple):
    """What was done to the topics: names of new ones, mended configurations.

    `problem` is what can't be mended, in words: a wrong number of partitions.
    """

    created: Sequence[str]
    mended: Mapping[str, Sequence[Difference]]
    problem: str = ""


class _Configs(NamedTuple):
    """A topic's configuration, and what of it was set for this topic alone."""

    values: Mapping[str, str]
    overrides: Mapping[str, str]


async def create(settings: KafkaSettings) -> Sequence[str]:
    """Create missing topics and mend others; return the names of new ones.

    Raises PermanentError also if one has another number of partitions.
    """
    done = await prepare(settings)
    if done.problem:
        raise PermanentError(done.problem)
    return done.created


async def prepare(settings: KafkaSettings) -> Prepared:
    """Create missing topics, mend the configuration of others.

    Returns once the broker shows them so. Raises TransientError if no broker answers,
    PermanentError if one refuses.
    """
    async with _admin(settings) as admin:
        before = await _describe(admin, settings)
        created = await _create(admin, settings)
        changes = {t.name: t.differences for t in before if t.differences}
        await _mend(admin, settings, changes)
    await _wait_for_all(settings)
    wrong = [t for t in before if t.partitions not in {0, t.expected}]
    return Prepared(created, changes, _wrong_partitions(wrong[0]) if wrong else "")


async def describe(settings: KafkaSettings) -> Sequence[TopicState]:
    """Return the state of each topic; a missing one has no partitions."""
    async with _admin(settings) as admin:
        return await _describe(admin, settings)


async def check(settings: KafkaSettings) -> None:
    """Raise PermanentError, which says what to do, if a topic isn't as required.

    Partitions that were added to topics in use are no obstacle: they aren't used.
    """
    states = await describe(settings)
    for topic in states:
        if not topic.partitions:
            message = (
                f"Expected topic {topic.name} with {topic.expected} partitions, but it "
                "is missing: run `flightlog topics create`"
            )
            raise PermanentError(message)
        if topic.partitions < topic.expected:
            raise PermanentError(_wrong_partitions(topic))
    if any(topic.partitions > topic.expected for topic in states):
        await _check_added(states, settings)
    for topic in states:
        if topic.differences and not topic.serious:
            log_.warning("topic_differs", topic=topic.name, problem=topic.problem)
    if differing := [topic for topic in states if topic.serious]:
        found = "; ".join(f"{topic.name}: {topic.problem}" for topic in differing)
        message = (
            f"Expected topics with which nothing is lost, but {found}: run `flightlog "
            "topics create`, which mends them"
        )
        raise PermanentError(message)


async def _check_added(states: Sequence[TopicState], settings: KafkaSettings) -> None:
    """Raise PermanentError unless all streams live where the settings put them."""
    more = [topic for topic in states if topic.partitions > topic.expected]
    events = next(topic for topic in states if topic.name == topics.EVENTS)
    watermarks = Watermarks(settings)
    await watermarks.open()
    try:
        name = settings.prefix + topics.EVENTS
        numbers = range(events.partitions)
        ends = await watermarks.high([TopicPartition(name, n) for n in numbers])
    finally:
        await watermarks.close()
    used = {at.partition for at, end in ends.items() if end}
    if not used or max(used) >= events.expected:
        raise PermanentError(_wrong_partitions(more[0]))
    for topic in more:
        log_.warning(
            "partitions_not_configured",
            topic=topic.name,
            partitions=topic.partitions,
            used=topic.expected,
        )


def _wrong_partitions(topic: TopicState) -> str:
    return (
        f"Expected topic {topic.name} with {topic.expected} partitions, but it has "
        f"{topic.partitions}: streams would change their partition"
    )


async def _describe(
    admin: AIOKafkaAdminClient, settings: KafkaSettings
) -> Sequence[TopicState]:
    # Naming topics would create the missing ones, where the broker does that.
    found = await call(admin.describe_topics())
    known = {
        topic["topic"].removeprefix(settings.prefix): topic["partitions"]
        for topic in found
        if topic["topic"].startswith(settings.prefix)
    }
    configs = await _configs(admin, settings, [name for name in ALL if name in known])
    states = []
    for name in ALL:
        partitions = known.get(name, ())
        replicas = max((len(p["replicas"]) for p in partitions), default=0)
        values = configs[name].values if name in configs else {}
        states.append(
            TopicState(
                name=name,
                partitions=len(partitions),
                expected=partitions_of(name, settings),
                replicas=replicas,
                differences=differences(name, values, replicas, settings),
            )
        )
    return states


async def _configs(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, names: Sequence[str]
) -> Mapping[str, _Configs]:
    """Return the configurations of topics, as far as the broker shows them."""
    if not names:
        return {}
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, settings.prefix + name)
        for name in names
    ]
    found: dict[str, _Configs] = {}
    for reply in await call(admin.describe_configs(asked)):
        for code, why, _, topic, entries in reply.resources:
            name = topic.removeprefix(settings.prefix)
            if code:
                log_.warning("topic_not_checked", topic=name, why=why)
                continue
            values = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
            own = {e[0] for e in entries if e[3] == _SET_FOR_THE_TOPIC}
            overrides = {key: values[key] for key in own if key in values}
            found[name] = _Configs(values, overrides)
    return found


async def _create(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> Sequence[str]:
    reply = await call(admin.create_topics([_new(topic, settings) for topic in ALL]))
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
    return created


async def _mend(
    admin: AIOKafkaAdminClient,
    settings: KafkaSettings,
    changes: Mapping[str, Sequence[Difference]],
) -> None:
    """Change configurations; what else is set for a topic is set again."""
    if not changes:
        return
    configs = await _configs(admin, settings, list(changes))
    wanted = [
        ConfigResource(
            ConfigResourceType.TOPIC,
            settings.prefix + name,
            mended(name, configs[name].overrides, found),
        )
        for name, found in changes.items()
    ]
    for reply in await call(admin.alter_configs(wanted)):
        for code, why, _, topic in reply.resources:
            if code:
                raise PermanentError(
                    f"Expected to configure topic {topic}, but: "
                    f"{for_code(code).__name__} {why or ''}"
                )


async def delete_before(
    topic: str, positions: Positions, settings: KafkaSettings
) -> None:
    """Delete the messages of a topic up to positions; raises TransientError."""
    name = settings.prefix + topic
    wanted = {
        TopicPartition(name, number): RecordsToDelete(before_offset=position)
        for number, position in positions.items()
        if position
    }
    if wanted:
        async with _admin(settings) as admin:
            await call(admin.delete_records(wanted))


async def _wait_for_all(settings: KafkaSettings) -> None:
    """Wait until every topic is visible: a broker shows changes with a delay."""
    for _ in range(max(1, round(settings.request_timeout_s / _POLL_S))):
        states = await describe(settings)
        if all(topic.partitions and not topic.differences for topic in states):
            return
        await asyncio.sleep(_POLL_S)


def _new(topic: str, settings: KafkaSettings) -> NewTopic:
    return NewTopic(
        settings.prefix + topic,
        partitions_of(topic, settings),
        settings.replication_factor,
        topic_configs=dict(configs_of(topic, settings)),
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
        raise TransientError(message, of=Dependency.KAFKA) from error
    try:
        yield admin
    finally:
        await admin.close()

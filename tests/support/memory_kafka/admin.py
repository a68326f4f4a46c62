"""aiokafka's admin client, of a broker in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource

from tests.support.memory_kafka.broker import DEFAULTS, Broker, broker_of
from tests.support.memory_kafka.calls import call

_EXISTS, _UNKNOWN_TOPIC = 36, 3
_OWN, _DEFAULT = 1, 5
"""Where a configuration comes from: it is the topic's own, or the broker's default."""


@dataclass(slots=True)
class Reply:
    """A broker's reply: errors of topics, or resources."""

    topic_errors: list[tuple[str, int, str]] = field(default_factory=list)
    resources: list[tuple[Any, ...]] = field(default_factory=list)


class MemoryAdmin:
    """Creates, configures and describes topics."""

    def __init__(self, *, bootstrap_servers: str, **_others: Any) -> None:
        """Prepare."""
        self._broker: Broker = broker_of(bootstrap_servers)

    async def start(self) -> None:
        """Connect."""
        await call(self._broker, lambda: None)

    async def close(self) -> None:
        """Disconnect."""
        await call(self._broker, lambda: None)

    async def create_topics(self, wanted: Sequence[NewTopic]) -> Reply:
        """Create topics; tell for each one whether it exists already."""

        def create(topic: NewTopic) -> tuple[str, int, str]:
            configs = topic.topic_configs or {}
            made = self._broker.create(topic.name, topic.num_partitions, configs)
            return topic.name, 0 if made else _EXISTS, ""

        return await call(
            self._broker, lambda: Reply(topic_errors=[create(t) for t in wanted])
        )

    async def describe_topics(
        self, names: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return the partitions of topics, by default of all."""
        topics = self._broker.topics

        def describe() -> list[dict[str, Any]]:
            return [
                {"topic": name, "partitions": [{"replicas": [1]}] * len(t.partitions)}
                for name, t in topics.items()
                if names is None or name in names
            ]

        return await call(self._broker, describe)

    async def create_partitions(self, wanted: Mapping[str, NewPartitions]) -> Reply:
        """Add partitions to topics."""

        def create() -> Reply:
            for name, partitions in wanted.items():
                self._broker.add_partitions(name, partitions.total_count)
            return Reply()

        return await call(self._broker, create)

    async def describe_configs(self, wanted: Iterable[ConfigResource]) -> list[Reply]:
        """Return the configuration of topics."""

        def describe(name: str) -> tuple[Any, ...]:
            topic = self._broker.topics.get(name)
            if topic is None:
                return _UNKNOWN_TOPIC, "unknown topic", 2, name, []
            entries = [
                (
                    key,
                    topic.configs.get(key, default),
                    False,
                    _source(topic, key),
                    False,
                )
                for key, default in (DEFAULTS | topic.configs).items()
            ]
            return 0, None, 2, name, entries

        names = [resource.name for resource in wanted]
        return await call(
            self._broker, lambda: [Reply(resources=[describe(n) for n in names])]
        )

    async def alter_configs(self, wanted: Iterable[ConfigResource]) -> list[Reply]:
        """Set the configuration of topics: what isn't named is the default again."""

        def alter(resource: ConfigResource) -> tuple[Any, ...]:
            topic = self._broker.topics.get(resource.name)
            if topic is None:
                return _UNKNOWN_TOPIC, "unknown topic", 2, resource.name
            topic.configs = dict(resource.configs or {})
            return 0, None, 2, resource.name

        resources = list(wanted)
        return await call(
            self._broker, lambda: [Reply(resources=[alter(r) for r in resources])]
        )

    async def delete_records(
        self, wanted: Mapping[TopicPartition, RecordsToDelete]
    ) -> None:
        """Delete what is before an offset, as retention does."""

        def delete() -> None:
            for at, records in wanted.items():
                self._broker.partition(at).delete_before(records.before_offset)

        await call(self._broker, delete)


def _source(topic: Any, key: str) -> int:
    return _OWN if key in topic.configs else _DEFAULT

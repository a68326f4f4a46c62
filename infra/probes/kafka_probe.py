"""The probe of Kafka: who leads the partitions of the topics."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from infra.setting_sections.storage import KafkaSettings

_TIMEOUT_MS = 4000


class KafkaProbe:
    """Asks any broker for the topics' metadata; each partition must have a leader."""

    def __init__(self, settings: KafkaSettings, topics: Sequence[str]) -> None:
        """Prepare for topics without their prefix; the first question connects."""
        self._servers = settings.bootstrap_servers
        self._topics = [settings.prefix + topic for topic in topics]
        self._client: AIOKafkaClient | None = None

    async def check(self) -> None:
        """Return if a broker answers and every partition has a leader."""
        client = self._client
        if client is None:
            client = AIOKafkaClient(
                bootstrap_servers=self._servers, request_timeout_ms=_TIMEOUT_MS
            )
            try:
                await client.bootstrap()
            except BaseException:
                await client.close()
                raise
            self._client = client
            await client.set_topics(self._topics)
        if not await client.force_metadata_update():
            raise KafkaConnectionError(f"no broker at {self._servers} answers")
        if without := self._without_leader(client):
            raise KafkaConnectionError(
                f"{len(without)} partitions have no leader, such as {without[0]}"
            )

    def _without_leader(self, client: AIOKafkaClient) -> Sequence[str]:
        return [
            f"{topic}/{number}"
            for topic in self._topics
            for number in client.cluster.partitions_for_topic(topic) or ()
            if client.cluster.leader_for_partition(TopicPartition(topic, number))
            in {None, -1}
        ]

    async def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

"""A consumer group's member on Kafka: reads what falls to it, keeps positions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from infra.errors import TransientError
from infra.eventlog.contract import Received
from infra.eventlog.kafka.clients import new_group_member
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.eventlog.kafka.records import received
from infra.setting_sections import KafkaSettings


class KafkaConsumer:
    """Reads at least once: what comes again when partitions are dealt is the reader's.

    `generation` tells it to look what others did meanwhile.
    """

    def __init__(
        self, settings: KafkaSettings, group: str, topic: str, poll_s: float
    ) -> None:
        """Prepare; `open` joins the group."""
        self._prefix = settings.prefix
        self._topic = settings.prefix + topic
        self._poll_ms = round(poll_s * 1000)
        self._generation = 0
        self._kept: dict[int, int] = {}
        self._member: AIOKafkaConsumer = new_group_member(settings, group)
        self._member.subscribe([self._topic], listener=AssignmentListener(self._dealt))

    @property
    def generation(self) -> int:
        """Return how often partitions were dealt to this reader."""
        return self._generation

    def _dealt(self, _assigned: Iterable[Any]) -> None:
        self._generation += 1
        self._kept.clear()

    async def open(self) -> None:
        """Join the group; raises Transient if no broker answers."""
        try:
            await self._member.start()
        except (KafkaError, OSError) as error:
            await self._member.stop()
            message = f"Expected a broker that lets us join, but: {error!r}"
            raise TransientError(message) from error

    async def close(self) -> None:
        """Leave the group."""
        await self._member.stop()

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        try:
            found: Any = await self._member.getmany(
                timeout_ms=self._poll_ms, max_records=limit
            )
        except KafkaError as error:
            message = f"Expected to read {self._topic}, but: {error!r}"
            raise TransientError(message) from error
        return [
            received(message, self._prefix)
            for batch in found.values()
            for message in batch
        ]

    async def commit(self, positions: Mapping[int, int]) -> None:
        """Keep positions of partitions that are ours; older ones change nothing."""
        ours = {at.partition for at in self._member.assignment()}
        newer = {
            TopicPartition(self._topic, number): position
            for number, position in positions.items()
            if number in ours and position > self._kept.get(number, 0)
        }
        if not newer:
            return
        try:
            await self._member.commit(newer)
        except (CommitFailedError, IllegalStateError):
            await asyncio.sleep(0)  # dealt to another meanwhile: its to keep
            return
        except (KafkaError, OSError) as error:
            message = f"Expected to keep positions of {self._topic}, but: {error!r}"
            raise TransientError(message) from error
        self._kept |= {at.partition: position for at, position in newer.items()}

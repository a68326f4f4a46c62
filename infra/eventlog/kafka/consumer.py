"""A member of a consumer group on Kafka, with positions that the broker stores."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from infra.errors import TransientError
from infra.eventlog.contract import Positions, Received
from infra.eventlog.kafka.clients import call, fetch, new_group_member, unreachable
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.setting_sections import KafkaSettings


class KafkaConsumer:
    """Reads at least once: an assignment may deliver messages again.

    `generation` shows such an assignment to the reader.
    """

    def __init__(
        self, settings: KafkaSettings, group: str, topic: str, poll_s: float
    ) -> None:
        """Prepare; `open` joins the group."""
        self._prefix = settings.prefix
        self._topic = settings.prefix + topic
        self._poll_ms = round(poll_s * 1000)
        self._generation = 0
        self._committed: dict[int, int] = {}
        self._member: AIOKafkaConsumer = new_group_member(settings, group)
        listener = AssignmentListener(self._on_assigned)
        self._member.subscribe([self._topic], listener=listener)

    @property
    def generation(self) -> int:
        """Return how often partitions were assigned to this reader."""
        return self._generation

    def _on_assigned(self, _assigned: Iterable[TopicPartition]) -> None:
        self._generation += 1
        self._committed.clear()

    async def open(self) -> None:
        """Join the group; raises TransientError."""
        try:
            await call(self._member.start())
        except TransientError:
            await self._member.stop()
            raise

    async def close(self) -> None:
        """Leave the group."""
        await self._member.stop()

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time."""
        return await fetch(
            self._member, wait_ms=self._poll_ms, limit=limit, prefix=self._prefix
        )

    async def commit(self, positions: Positions) -> None:
        """Store positions of assigned partitions; older ones change nothing."""
        assigned = {at.partition for at in self._member.assignment()}
        newer = {
            TopicPartition(self._topic, number): position
            for number, position in positions.items()
            if number in assigned and position > self._committed.get(number, 0)
        }
        if not newer:
            return
        try:
            await self._member.commit(newer)
        except (CommitFailedError, IllegalStateError):
            await asyncio.sleep(0)  # assigned to another: it commits its own positions
            return
        except (KafkaError, OSError) as error:
            raise unreachable(error) from error
        self._committed |= {at.partition: position for at, position in newer.items()}

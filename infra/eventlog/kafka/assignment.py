"""Partitions of a topic that a group assigns, read from positions stored elsewhere.

The group's consumer serves membership only; a second one reads from the positions that
its user gives. So a user that stores positions together with what it writes (in a
database) needs no second place for them, which could disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.eventlog.contract import Positions, Received
from infra.eventlog.kafka.clients import (
    call,
    fetch,
    new_consumer,
    new_group_member,
    partitions_of,
    unreachable,
)
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.setting_sections import KafkaSettings

log_ = structlog.get_logger(__name__)

_POLL_MS = 200
_RETRY_S = 0.5


class KafkaPartitionAssignment:
    """The partitions of one topic that are assigned to one member of a group."""

    def __init__(
        self, settings: KafkaSettings, group: str, topic: str, poll_s: float
    ) -> None:
        """Prepare; `joined` joins the group."""
        self._settings = settings
        self._prefix = settings.prefix
        self._topic = settings.prefix + topic
        self._poll_ms = round(poll_s * 1000)
        self._is_assigned = asyncio.Event()
        self._assigned: frozenset[int] = frozenset()
        self._read: frozenset[int] = frozenset()
        self._member: AIOKafkaConsumer = new_group_member(settings, group)
        listener = AssignmentListener(self._on_assigned)
        self._member.subscribe([self._topic], listener=listener)
        self._reader: AIOKafkaConsumer = new_consumer(settings)

    def _on_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._member.pause(*assigned)
        self._assigned = self._known(assigned)
        self._is_assigned.set()

    def _known(self, assigned: Iterable[TopicPartition]) -> frozenset[int]:
        """Return the partitions that the engine uses; nobody writes to others."""
        count = partitions_of(self._topic.removeprefix(self._prefix), self._settings)
        numbers = frozenset(at.partition for at in assigned)
        if strays := sorted(number for number in numbers if number >= count):
            log_.warning(
                "partitions_not_configured", topic=self._topic, partitions=strays
            )
        return frozenset(number for number in numbers if number < count)

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[KafkaPartitionAssignment]:
        """Be a member of the group within the block; raises TransientError."""
        try:
            await self._member.start()
            await self._reader.start()
            polling = asyncio.create_task(self._poll())
            try:
                yield self
            finally:
                polling.cancel()
                await asyncio.wait([polling])
        except (KafkaError, OSError) as error:
            raise unreachable(error) from error
        finally:
            await self._reader.stop()
            await self._member.stop()

    async def _poll(self) -> None:
        """Poll the group's consumer, without end: this keeps up the membership."""
        while True:
            try:
                await self._member.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:
                log_.warning(
                    "consumer_poll_failed", topic=self._topic, error=repr(error)
                )
                await asyncio.sleep(_RETRY_S)

    async def partitions(self) -> frozenset[int]:
        """Return the assigned partitions; waits for the first assignment."""
        await self._is_assigned.wait()
        return self._assigned

    def is_reassigned(self) -> bool:
        """Return whether the assigned partitions aren't those that are read."""
        return self._read != self._assigned

    async def begin(self, positions: Positions) -> None:
        """Read these partitions only, from these positions on."""
        self._read = frozenset(positions)
        partitions = [self._at(number) for number in positions]
        if not partitions:
            return
        self._reader.assign(partitions)
        for number, position in positions.items():
            if position:
                self._reader.seek(self._at(number), position)
        if fresh := [self._at(number) for number, at in positions.items() if not at]:
            await call(self._reader.seek_to_beginning(*fresh))

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time."""
        if not self._read:
            await asyncio.sleep(_POLL_MS / 1000)
            return ()
        return await fetch(
            self._reader, wait_ms=self._poll_ms, limit=limit, prefix=self._prefix
        )

    async def reached(self) -> Positions:
        """Return the position reached on each partition, past markers of commits."""
        return {
            number: await call(self._reader.position(self._at(number)))
            for number in self._read
        }

    def _at(self, number: int) -> TopicPartition:
        return TopicPartition(self._topic, number)

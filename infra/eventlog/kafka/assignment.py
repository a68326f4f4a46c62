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

from infra.clock import SYSTEM_CLOCK
from infra.errors import PositionLostError, TransientError
from infra.eventlog.contract import Positions, Received
from infra.eventlog.kafka.clients import (
    call,
    close_client,
    fetch,
    new_consumer,
    new_group_member,
    partitions_of,
    unreachable,
)
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.eventlog.kafka.stored_positions import (
    RECHECK_S,
    StoppedPartitions,
    extent_of,
    start_position,
)
from infra.eventlog.kafka.watermarks import Watermarks
from infra.outages import Attempts
from infra.setting_sections.storage import KafkaSettings

log_ = structlog.get_logger(__name__)

_POLL_MS = 200
_RETRY_S = 0.5


class KafkaPartitionAssignment:
    """The partitions of one topic that are assigned to one member of a group."""

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: str,
        poll_s: float,
        stopped: StoppedPartitions | None = None,
    ) -> None:
        """Prepare; `joined` joins the group."""
        self._name = topic
        self._stopped = StoppedPartitions() if stopped is None else stopped
        self._lost: frozenset[int] = frozenset()
        self._check_at_s = 0.0
        self._watermarks = Watermarks(settings)
        self._settings = settings
        self._prefix = settings.prefix
        self._topic = settings.prefix + topic
        self._poll_ms = round(poll_s * 1000)
        self._is_assigned = asyncio.Event()
        self._assigned: frozenset[int] = frozenset()
        self._read: frozenset[int] = frozenset()
        self._serving: frozenset[int] = frozenset()
        self._member: AIOKafkaConsumer = new_group_member(settings, group)
        listener = AssignmentListener(self._on_assigned)
        self._member.subscribe([self._topic], listener=listener)
        self._reader: AIOKafkaConsumer = new_consumer(settings, skips_deleted=False)

    def _on_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._member.pause(*assigned)
        self._assigned = self._known(assigned)
        self._stopped.forget(self._name)
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
            await self._watermarks.open()
            polling = asyncio.create_task(self._poll())
            try:
                yield self
            finally:
                polling.cancel()
                await asyncio.wait([polling])
        except (KafkaError, OSError) as error:
            raise unreachable(error) from error
        finally:
            await self._watermarks.close()
            await close_client(self._reader)
            await close_client(self._member)

    async def _poll(self) -> None:
        """Poll the group's consumer, without end: this keeps up the membership."""
        attempts = Attempts("consumer_poll_failed")
        while True:
            try:
                await call(self._member.getmany(timeout_ms=_POLL_MS))
            except TransientError as error:
                attempts.failed(error)
                await asyncio.sleep(_RETRY_S)
            else:
                attempts.worked()

    async def partitions(self) -> frozenset[int]:
        """Return the assigned partitions; waits for the first assignment."""
        await self._is_assigned.wait()
        return self._assigned

    def is_reassigned(self) -> bool:
        """Return whether the assigned partitions aren't those that are read.

        Or if it is time to see whether the loss of a position was accepted.
        """
        if self._lost and SYSTEM_CLOCK.monotonic() >= self._check_at_s:
            return True
        return self._read != self._assigned

    async def begin(self, positions: Positions) -> None:
        """Read these partitions only, from these positions on.

        But for those where that isn't possible any more: they stop.
        """
        self._read = frozenset(positions)
        self._lost = await self._find_lost(positions)
        self._check_at_s = SYSTEM_CLOCK.monotonic() + RECHECK_S
        self._serving = self._read - self._lost
        if not self._serving:
            return
        self._reader.assign([self._at(number) for number in self._serving])
        for number in self._serving:
            self._reader.seek(self._at(number), positions[number])

    async def _find_lost(self, positions: Positions) -> frozenset[int]:
        """Return the partitions with messages that are deleted and weren't read."""
        lost = set[int]()
        for number, position in positions.items():
            at = self._at(number)
            extent = await extent_of(self._watermarks.consumer, at, position)
            try:
                start_position(at, position, extent)
            except PositionLostError as error:
                self._stopped.stop(self._name, number, error)
                lost.add(number)
            else:
                self._stopped.resume(self._name, number)
        return frozenset(lost)

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time."""
        if not self._serving:
            await asyncio.sleep(_POLL_MS / 1000)
            return ()
        try:
            return await fetch(
                self._reader, wait_ms=self._poll_ms, limit=limit, prefix=self._prefix
            )
        except PositionLostError:
            self._lost, self._check_at_s = self._serving, 0.0
            return ()

    async def reached(self) -> Positions:
        """Return the position reached on each partition, past markers of commits."""
        return {
            number: await call(self._reader.position(self._at(number)))
            for number in self._serving
        }

    def _at(self, number: int) -> TopicPartition:
        return TopicPartition(self._topic, number)

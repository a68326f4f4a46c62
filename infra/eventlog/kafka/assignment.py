"""A share of a topic on Kafka: what falls to us, read from positions kept elsewhere.

The group's consumer serves membership alone; a reader of its own begins where its user
says. So whoever keeps positions with what it writes (a database) needs no second place
for them that could disagree.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from infra.errors import TransientError
from infra.eventlog.contract import Received
from infra.eventlog.kafka.clients import new_consumer, new_group_member
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.eventlog.kafka.records import received
from infra.setting_sections import KafkaSettings

log_ = structlog.get_logger(__name__)

_LOOK_MS = 200
_AGAIN_S = 0.5


class KafkaPartitionAssignment:
    """The partitions of one topic that fall to one member of a group."""

    def __init__(
        self, settings: KafkaSettings, group: str, topic: str, poll_s: float
    ) -> None:
        """Prepare; `open` joins the group."""
        self._prefix = settings.prefix
        self._topic = settings.prefix + topic
        self._poll_ms = round(poll_s * 1000)
        self._dealt = asyncio.Event()
        self._ours: frozenset[int] = frozenset()
        self._read: frozenset[int] = frozenset()
        self._member: AIOKafkaConsumer = new_group_member(settings, group)
        self._member.subscribe([self._topic], listener=AssignmentListener(self._take))
        self._reader: AIOKafkaConsumer = new_consumer(settings)

    def _take(self, assigned: Iterable[TopicPartition]) -> None:
        self._member.pause(*assigned)
        self._ours = frozenset(at.partition for at in assigned)
        self._dealt.set()

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[KafkaPartitionAssignment]:
        """Be a member meanwhile; raises Transient if no broker answers."""
        try:
            await self._member.start()
            await self._reader.start()
            living = asyncio.create_task(self._live())
            try:
                yield self
            finally:
                living.cancel()
                await asyncio.wait([living])
        except (KafkaError, OSError) as error:
            message = f"Expected a broker that lets us share, but: {error!r}"
            raise TransientError(message) from error
        finally:
            await self._reader.stop()
            await self._member.stop()

    async def _live(self) -> None:
        """Tell the group that we live; it hears of partitions through this."""
        while True:
            try:
                await self._member.getmany(timeout_ms=_LOOK_MS)
            except KafkaError as error:
                log_.warning(
                    "consumer_poll_failed", topic=self._topic, error=repr(error)
                )
                await asyncio.sleep(_AGAIN_S)

    async def partitions(self) -> frozenset[int]:
        """Return the partitions that are ours by now; waits for the first deal."""
        await self._dealt.wait()
        return self._ours

    def is_reassigned(self) -> bool:
        """Tell whether other partitions are ours than those that are read."""
        return self._read != self._ours

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Read these partitions, and none else, from these positions on."""
        self._read = frozenset(positions)
        parts = [self._at(number) for number in positions]
        if not parts:
            return
        self._reader.assign(parts)
        for number, position in positions.items():
            if position:
                self._reader.seek(self._at(number), position)
        if fresh := [self._at(number) for number, at in positions.items() if not at]:
            await _asking(self._reader.seek_to_beginning(*fresh))

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        if not self._read:
            await asyncio.sleep(_LOOK_MS / 1000)
            return ()
        found: Any = await _asking(
            self._reader.getmany(timeout_ms=self._poll_ms, max_records=limit)
        )
        return [
            received(message, self._prefix)
            for batch in found.values()
            for message in batch
        ]

    async def reached(self) -> Mapping[int, int]:
        """Return how far was read: also past marks of commits."""
        return {
            number: await _asking(self._reader.position(self._at(number)))
            for number in self._read
        }

    def _at(self, number: int) -> TopicPartition:
        return TopicPartition(self._topic, number)


async def _asking(answer: Any) -> Any:
    try:
        return await answer
    except (KafkaError, OSError) as error:
        message = f"Expected the broker to answer, but: {error!r}"
        raise TransientError(message) from error

"""Topics on Kafka as any process reads them: up to their end, or without end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.eventlog.contract import BEGINNING, Pages, Positions, Received
from infra.eventlog.kafka.clients import (
    call,
    close_client,
    end_offsets,
    fetch,
    new_consumer,
    partitions_of,
)
from infra.eventlog.kafka.watermarks import TransactionWaits, Watermarks
from infra.setting_sections.storage import KafkaSettings

_SHORT_WAIT_MS = 50
_RECORD_WAIT_MS = 1000


@dataclass(frozen=True, slots=True)
class TopicReader:
    """Reads partitions of topics, as a member of no group.

    `poll_s` is how long a reader at the end waits for new messages.
    """

    settings: KafkaSettings
    poll_s: float
    watermarks: Watermarks
    waits: TransactionWaits

    async def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from positions on, without end; yields empty batches."""
        wait_ms = round(self.poll_s * 1000)
        async with self._reading(topics, after, wait_ms=wait_ms) as (reader, _):
            while True:
                yield await self._fetch(reader, limit, wait_ms)

    async def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield the messages of a topic after positions, up to the end at the call.

        The end is the high watermark: what is committed by then is there, even behind
        a transaction that is still open. That one is waited for, never read through.
        """
        if partition is not None and partition >= partitions_of(topic, self.settings):
            return
        async with self._reading((topic,), after, partition) as (reader, partitions):
            ends = await self.watermarks.high(partitions)
            with self.waits.reading(ends) as wait:
                while left := await _before_ends(reader, ends):
                    wait.check(left)
                    # Markers of commits advance the position without a message.
                    found = await self._fetch(reader, limit, _SHORT_WAIT_MS)
                    before_end = [r for r in found if r.position <= ends[self._at(r)]]
                    if before_end:
                        yield before_end

    async def since(self, topic: str, at_us: int) -> Positions:
        """Return positions before all that the broker appended from a time on."""
        async with self._reading((topic,), BEGINNING) as (reader, partitions):
            times_ms = dict.fromkeys(partitions, at_us // 1000)
            found = await call(reader.offsets_for_times(times_ms))
            ends = await end_offsets(reader, partitions)
        return {
            at.partition: found[at].offset if found[at] else ends[at]
            for at in partitions
        }

    async def appended_at_ms(self, received: Received) -> int | None:
        """Return when the broker appended a message; None if it is deleted."""
        at, topics = self._at(received), (received.topic,)
        before = {at.partition: received.position - 1}
        async with self._reading(topics, before, at.partition) as (reader, _):
            found = await call(reader.getmany(at, timeout_ms=_RECORD_WAIT_MS))
        messages = found.get(at, ())
        return int(messages[0].timestamp) if messages else None

    async def end_positions(self, topics: Sequence[str]) -> Positions:
        """Return the last position of each partition: the highest one of the topics."""
        async with self._reading(topics, BEGINNING) as (reader, partitions):
            ends = await end_offsets(reader, partitions)
        found: dict[int, int] = {}
        for at, end in ends.items():
            found[at.partition] = max(found.get(at.partition, 0), end)
        return found

    @asynccontextmanager
    async def _reading(
        self,
        topics: Sequence[str],
        after: Positions,
        partition: int | None = None,
        wait_ms: int = _SHORT_WAIT_MS,
    ) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        partitions = [
            TopicPartition(self.settings.prefix + topic, number)
            for topic in topics
            for number in range(partitions_of(topic, self.settings))
            if partition in {None, number}
        ]
        # The broker answers the requests of a connection in order: a fetch that waits
        # for messages delays those after it.
        reader = new_consumer(self.settings, fetch_max_wait_ms=wait_ms)
        try:
            await call(reader.start())
            reader.assign(partitions)
            for at in partitions:
                if after.get(at.partition):
                    reader.seek(at, after[at.partition])
            if fresh := [at for at in partitions if not after.get(at.partition)]:
                await call(reader.seek_to_beginning(*fresh))
            yield reader, partitions
        finally:
            await close_client(reader)

    def _at(self, message: Received) -> TopicPartition:
        return TopicPartition(self.settings.prefix + message.topic, message.partition)

    async def _fetch(
        self, reader: AIOKafkaConsumer, limit: int, wait_ms: int
    ) -> Sequence[Received]:
        prefix = self.settings.prefix
        return await fetch(reader, wait_ms=wait_ms, limit=limit, prefix=prefix)


async def _before_ends(
    reader: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]
) -> Mapping[TopicPartition, int]:
    """Return the positions of partitions that aren't read up to their ends."""
    positions = {at: await reader.position(at) for at in ends}
    return {at: position for at, position in positions.items() if position < ends[at]}

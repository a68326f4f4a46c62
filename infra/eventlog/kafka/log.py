"""The log on Kafka: partitions that many processes share, each served by one owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from infra.errors import PermanentError, TransientError
from infra.eventlog.contract import (
    Consumer,
    PartitionAssignment,
    Received,
    Record,
    Serve,
    StreamExtent,
    StreamExtents,
)
from infra.eventlog.kafka import topics as kafka_topics
from infra.eventlog.kafka.assignment import KafkaPartitionAssignment
from infra.eventlog.kafka.clients import (
    new_consumer,
    new_producer,
    partition_for_record,
)
from infra.eventlog.kafka.consumer import KafkaConsumer
from infra.eventlog.kafka.partition_owner import KafkaPartitionOwner
from infra.eventlog.kafka.records import received, sendable
from infra.setting_sections import KafkaSettings, LogSettings
from schemas import topics as t
from schemas.envelope import Envelope

_SKEW_MS = 5_000
"""A record's time is the broker's; records of other brokers may be this much off."""
_SCAN_MAX = 1000
_SHORT_MS = 50


class KafkaLog:
    """The log of many processes; `open` connects, and checks the topics."""

    def __init__(
        self,
        settings: KafkaSettings,
        log: LogSettings,
        spans: StreamExtents | None = None,
    ) -> None:
        """Prepare; `open` connects.

        Without `spans` a stream is looked for on its whole partition.
        """
        self._settings = settings
        self._prefix = settings.prefix
        self._poll_s = log.poll_interval_s
        self._spans = spans
        self._producer: AIOKafkaProducer | None = None

    async def open(self) -> None:
        """Connect; raises Permanent if a topic is missing or has other partitions."""
        await kafka_topics.check(self._settings)
        producer = new_producer(self._settings)
        await _asking(producer.start())
        self._producer = producer

    async def close(self) -> None:
        """Send what was begun, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    @property
    def _sender(self) -> AIOKafkaProducer:
        if self._producer is None:
            message = "Expected an open log, but it is closed"
            raise PermanentError(message)
        return self._producer

    async def append(self, records: Sequence[Record]) -> None:
        """Append; durable on return. An id that is there already comes twice.

        Whoever reads catches repeats: a decider, or a view's key.
        """
        try:
            sent = []
            for record in records:
                at = await partition_for_record(self._sender, record, self._prefix)
                arguments = sendable(record, self._prefix)
                sent.append(await self._sender.send(**arguments, partition=at))
            await asyncio.gather(*sent)
        except MessageSizeTooLargeError as error:
            message = f"Expected a record that the log can keep, but: {error}"
            raise PermanentError(message) from error
        except (KafkaError, OSError) as error:
            message = f"Expected the broker to take records, but: {error!r}"
            raise TransientError(message) from error

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve each partition that falls to this process, until `stop`."""
        owners = KafkaPartitionOwner(self._settings, group, topic, self._poll_s)
        await owners.run(serve, stop)

    def consume(self, group: str, topic: str) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic's partitions that fall to this process, as one of a group."""
        return self._consumed(group, topic)

    @asynccontextmanager
    async def _consumed(self, group: str, topic: str) -> AsyncIterator[Consumer]:
        consumer = KafkaConsumer(self._settings, group, topic, self._poll_s)
        await consumer.open()
        try:
            yield consumer
        finally:
            await consumer.close()

    def join_group(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[PartitionAssignment]:
        """Read what falls to this process, as one of a group."""
        return KafkaPartitionAssignment(
            self._settings, group, topic, self._poll_s
        ).joined()

    async def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow all partitions of topics from positions on, for ever."""
        wait_ms = round(self._poll_s * 1000)
        async with self._reading(topics, after, wait_ms=wait_ms) as (reader, _):
            while True:
                yield await self._read(reader, limit, wait_ms)

    async def read_to_end(
        self,
        topic: str,
        after: Mapping[int, int],
        limit: int,
        partition: int | None = None,
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic after positions and was there at the call."""
        async for batch in self._upto_now(topic, after, limit, partition):
            yield batch

    async def read_compacted(
        self, topic: str, partition: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a compacted topic's partition at the call, then end."""
        async for batch in self._upto_now(topic, {}, _SCAN_MAX, partition):
            yield batch

    async def _upto_now(
        self,
        topic: str,
        after: Mapping[int, int],
        limit: int,
        partition: int | None,
    ) -> AsyncIterator[Sequence[Received]]:
        async with self._reading((topic,), after, partition) as (reader, parts):
            ends = await _asking(reader.end_offsets(parts))
            left = set(parts)
            while True:
                left = {at for at in left if await reader.position(at) < ends[at]}
                if not left:
                    return
                # Marks of commits are passed without news: don't wait for any.
                found = await self._read(reader, limit, _SHORT_MS)
                inside = [r for r in found if r.position <= ends[self._at(r)]]
                if inside:
                    yield inside

    @asynccontextmanager
    async def _reading(
        self,
        topics: Sequence[str],
        after: Mapping[int, int],
        partition: int | None = None,
        wait_ms: int = _SHORT_MS,
    ) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        parts = [
            TopicPartition(self._prefix + topic, number)
            for topic in topics
            for number in range(await self.partitions(topic))
            if partition in {None, number}
        ]
        # The broker answers a connection in order: what is asked for while a fetch
        # waits for news waits as long.
        reader = new_consumer(self._settings, fetch_max_wait_ms=wait_ms)
        try:
            await _asking(reader.start())
            reader.assign(parts)
            for at in parts:
                if after.get(at.partition):
                    reader.seek(at, after[at.partition])
            if fresh := [at for at in parts if not after.get(at.partition)]:
                await _asking(reader.seek_to_beginning(*fresh))
            yield reader, parts
        finally:
            await reader.stop()

    def _at(self, found: Received) -> TopicPartition:
        return TopicPartition(self._prefix + found.topic, found.partition)

    async def _read(
        self, reader: AIOKafkaConsumer, limit: int, wait_ms: int
    ) -> Sequence[Received]:
        found: Any = await _asking(
            reader.getmany(timeout_ms=wait_ms, max_records=limit)
        )
        return [
            received(message, self._prefix)
            for batch in found.values()
            for message in batch
        ]

    async def positions_before(
        self, received: Received, topic: str
    ) -> Mapping[int, int]:
        """Return positions on a topic: what is there up to them is older than this.

        By the broker's own times: clocks of processes don't matter.
        """
        told = await self._told_at_ms(received)
        return {} if told is None else await self.since(topic, 1000 * (told - _SKEW_MS))

    async def since(self, topic: str, at_us: int) -> Mapping[int, int]:
        """Return positions: what the broker took from a time on is after them."""
        async with self._reading((topic,), {}) as (reader, parts):
            asked = dict.fromkeys(parts, at_us // 1000)
            found = await _asking(reader.offsets_for_times(asked))
            ends = await _asking(reader.end_offsets(parts))
        return {
            at.partition: found[at].offset if found[at] else ends[at] for at in parts
        }

    async def _told_at_ms(self, received: Received) -> int | None:
        """Return the broker's time of a record; None if it is gone."""
        at = TopicPartition(self._prefix + received.topic, received.partition)
        async with self._reading(
            (received.topic,), {received.partition: received.position - 1}, at.partition
        ) as (reader, _):
            found: Any = await _asking(reader.getmany(at, timeout_ms=1000))
        messages = found.get(at, ())
        return messages[0].timestamp if messages else None

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(await _asking(self._sender.partitions_for(self._prefix + topic)))

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the events of a stream, by sequence.

        Reads its partition from about where it began; of one that is known to have
        ended, to its last event.
        """
        span = await self._span(stream)
        upto = after + limit if limit is not None else 0
        if span is not None and span.ended:
            upto = min(upto, span.ended) if upto else span.ended
        found = await self._events(stream, span, upto)
        return [received for received in found if received.envelope.sequence > after]

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream: reads its partition up to the end."""
        found = await self._events(stream, await self._span(stream))
        return found[-1] if found else None

    async def _span(self, stream: str) -> StreamExtent | None:
        return await self._spans.find(stream) if self._spans is not None else None

    async def _events(
        self, stream: str, span: StreamExtent | None, upto: int = 0
    ) -> Sequence[Received]:
        """Return the events of a stream up to a sequence; to all that there are if 0.

        When it began is by another clock than the broker's: if what is found from there
        on doesn't begin with the first event, everything is read.
        """
        if span is not None:
            starts = await self.since(t.EVENTS, span.began_us - 1000 * _SKEW_MS)
            found = await self._events_after(stream, starts, upto)
            if found and found[0].envelope.sequence == 1:
                return found
        return await self._events_after(stream, {}, upto)

    async def _events_after(
        self, stream: str, after: Mapping[int, int], upto: int
    ) -> Sequence[Received]:
        found: list[Received] = []
        partition = await self.partition_for_stream(stream)
        async for batch in self._upto_now(t.EVENTS, after, _SCAN_MAX, partition):
            found += [r for r in batch if r.envelope.stream == stream]
            if upto and found and found[-1].envelope.sequence >= upto:
                return [r for r in found if r.envelope.sequence <= upto]
        return found

    async def partition_for_stream(self, stream: str) -> int:
        """Return the partition that holds a stream."""
        envelope = Envelope(id="", type="", stream=stream)
        record = Record(topic=t.EVENTS, key=stream, envelope=envelope, body=b"")
        return await partition_for_record(self._sender, record, self._prefix)

    async def positions(self, group: str, topic: str) -> Mapping[int, int]:
        """Return a group's kept position on each partition; 0 before the first."""
        asking = new_consumer(self._settings, group_id=group)
        try:
            await _asking(asking.start())
            found = {}
            for number in range(await self.partitions(topic)):
                at = TopicPartition(self._prefix + topic, number)
                asking.assign([at])
                found[number] = await _asking(asking.committed(at)) or 0
            return found
        finally:
            await asking.stop()

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of each partition of a topic.

        On Kafka positions belong to one topic: of several, the highest is told.
        """
        asked = topics or (t.EVENTS,)
        async with self._reading(asked, {}) as (reader, parts):
            ends = await _asking(reader.end_offsets(parts))
        found: dict[int, int] = {}
        for at, end in ends.items():
            found[at.partition] = max(found.get(at.partition, 0), end)
        return found


async def _asking(answer: Any) -> Any:
    try:
        return await answer
    except (KafkaError, OSError) as error:
        message = f"Expected the broker to answer, but: {error!r}"
        raise TransientError(message) from error

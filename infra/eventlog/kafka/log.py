"""The log on Kafka: partitions shared by many processes, each served by one owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from infra.errors import PermanentError, PositionLostError
from infra.eventlog.contract import (
    BEGINNING,
    Consumer,
    Pages,
    PartitionAssignment,
    Positions,
    Received,
    Record,
    Release,
    Serve,
    StreamExtents,
)
from infra.eventlog.kafka import topics as kafka_topics
from infra.eventlog.kafka.assignment import KafkaPartitionAssignment
from infra.eventlog.kafka.clients import (
    call,
    committed_offsets,
    new_producer,
    partition_for_key,
    partition_for_record,
    partitions_of,
    retrieve_error,
    too_large,
    unreachable,
)
from infra.eventlog.kafka.consumer import KafkaConsumer
from infra.eventlog.kafka.partition_owner import KafkaPartitionOwner
from infra.eventlog.kafka.records import sendable
from infra.eventlog.kafka.stored_positions import (
    PositionState,
    StoppedPartitions,
    extent_of,
    start_position,
)
from infra.eventlog.kafka.stream_reader import SKEW_US, StreamReader
from infra.eventlog.kafka.topic_reader import TopicReader
from infra.eventlog.kafka.watermarks import TransactionWaits, Watermarks
from infra.retry import retry_transient
from infra.setting_sections.storage import KafkaSettings, LogSettings
from schemas import topics as t

_COMPACTED_BATCH = 1000


class KafkaLog:
    """The log of many processes; `open` connects, and checks the topics."""

    def __init__(
        self,
        settings: KafkaSettings,
        log: LogSettings,
        extents: StreamExtents | None = None,
    ) -> None:
        """Prepare; `open` connects.

        Without `extents` the entire partition of a stream is searched.
        """
        self._settings = settings
        self._prefix = settings.prefix
        self._poll_s = log.poll_interval_s
        self._producer: AIOKafkaProducer | None = None
        self._watermarks = Watermarks(settings)
        self._stopped = StoppedPartitions()
        self._waits = TransactionWaits(settings.open_transaction_timeout_s)
        self._topics = TopicReader(
            settings, self._poll_s, self._watermarks, self._waits
        )
        self._streams = StreamReader(self._topics, self.partition_for_stream, extents)

    async def open(self) -> None:
        """Connect; raises PermanentError if topics are missing or differ."""
        await kafka_topics.check(self._settings)
        await self._watermarks.open()
        producer = new_producer(self._settings)
        await call(producer.start())
        self._producer = producer

    async def close(self) -> None:
        """Send what is buffered, and disconnect."""
        await self._watermarks.close()
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    @property
    def waiting_reads(self) -> int:
        """Return how many reads wait for an open transaction of another process."""
        return self._waits.waiting

    @property
    def stopped_partitions(self) -> int:
        """Return how many partitions wait for an operator to accept a loss."""
        return len(self._stopped.found)

    @property
    def _sender(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise PermanentError("Expected an open log, but it is closed")
        return self._producer

    async def append(self, records: Sequence[Record]) -> None:
        """Append records, durably. A record with a known id is appended again.

        Readers ignore repetitions: a decider does, or the key of a read model.
        """
        try:
            sent = list[asyncio.Future[RecordMetadata]]()
            for record in records:
                at = partition_for_record(record, self._settings)
                arguments = sendable(record, self._prefix)
                sending = await self._sender.send(**arguments, partition=at)
                sending.add_done_callback(retrieve_error)
                sent.append(sending)
            await asyncio.gather(*sent)
        except MessageSizeTooLargeError as error:
            raise too_large(error) from error
        except (KafkaError, OSError, AssertionError) as error:
            # An assertion of aiokafka: the broker doesn't show that partition yet.
            raise unreachable(error) from error

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve each partition assigned to this process, until `stop` is set."""
        owner = KafkaPartitionOwner(
            self._settings, group, topic, self._poll_s, self._stopped
        )
        await owner.run(serve, stop)

    def consume(
        self, group: str, topic: str, release: Release | None = None
    ) -> AbstractAsyncContextManager[Consumer]:
        """Read the partitions of a topic that a group assigns to this process."""
        return self._consume(group, topic, release)

    @asynccontextmanager
    async def _consume(
        self, group: str, topic: str, release: Release | None
    ) -> AsyncIterator[Consumer]:
        consumer = await retry_transient(
            lambda: self._join(group, topic, release), "consumer_open_delayed"
        )
        try:
            yield consumer
        finally:
            await consumer.close()

    async def _join(
        self, group: str, topic: str, release: Release | None
    ) -> KafkaConsumer:
        consumer = KafkaConsumer(
            self._settings, group, topic, self._poll_s, release, self._stopped
        )
        await consumer.open()
        return consumer

    def join_group(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[PartitionAssignment]:
        """Join a group, and read the partitions assigned to this process."""
        return KafkaPartitionAssignment(
            self._settings, group, topic, self._poll_s, self._stopped
        ).joined()

    def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from positions on, without end."""
        return self._topics.tail(topics, after, limit)

    def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield the messages of a topic after positions, up to the end at the call."""
        return self._topics.read_to_end(topic, after, limit, partition)

    def read_compacted(self, topic: str, partition: int) -> Pages:
        """Yield the messages of a compacted topic's partition, up to the end."""
        batch = _COMPACTED_BATCH
        return self._topics.read_to_end(topic, BEGINNING, batch, partition)

    async def positions_before(self, received: Received, topic: str) -> Positions:
        """Return positions on a topic up to which all is older than a message.

        By the broker's times: the clocks of processes don't matter.
        """
        at_ms = await self._topics.appended_at_ms(received)
        if at_ms is None:
            return BEGINNING
        return await self.since(topic, 1000 * at_ms - SKEW_US)

    async def since(self, topic: str, at_us: int) -> Positions:
        """Return positions before all that the broker appended from a time on."""
        return await self._topics.since(topic, at_us)

    async def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions that the engine uses."""
        return partitions_of(topic, self._settings)

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the events of a stream after a sequence number, in order."""
        return await self._streams.read(stream, after, limit)

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream: reads to the end of its partition."""
        return await self._streams.last_event(stream)

    async def partition_for_stream(self, stream: str) -> int:
        """Return the partition that holds a stream."""
        return partition_for_key(t.EVENTS, stream, self._settings)

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored position on each partition; 0 before the first."""
        partitions = self._partitions_at(topic)
        stored = await committed_offsets(self._settings, group, partitions)
        return {at.partition: stored.get(at.partition, 0) for at in partitions}

    async def position_states(
        self, group: str, topic: str, stored: Positions | None = None
    ) -> Sequence[PositionState]:
        """Return how far a group is on each partition, and whether it can go on.

        `stored` are its positions, if they are stored elsewhere than on the broker.
        """
        partitions = self._partitions_at(topic)
        if stored is None:
            stored = await committed_offsets(self._settings, group, partitions)
            known = {at.partition: stored.get(at.partition) for at in partitions}
        else:
            known = {at.partition: stored.get(at.partition, 0) for at in partitions}
        return [
            await self._position_state(group, topic, at, known[at.partition])
            for at in partitions
        ]

    async def _position_state(
        self, group: str, topic: str, at: TopicPartition, position: int | None
    ) -> PositionState:
        extent = await extent_of(self._watermarks.consumer, at, position)
        if extent.is_new and topic == t.COMMANDS:
            snapshots = TopicPartition(self._prefix + t.SNAPSHOTS, at.partition)
            ends = await self._watermarks.high([snapshots])
            extent = extent._replace(is_new=not ends[snapshots])
        problem = ""
        try:
            start_position(at, position, extent)
        except PositionLostError as error:
            problem = str(error)
        return PositionState(
            topic=topic,
            partition=at.partition,
            group=group,
            position=position,
            first=extent.first,
            end=extent.end,
            problem=problem,
        )

    async def move_position(
        self, group: str, topic: str, partition: int, position: int
    ) -> None:
        """Store a group's position on a partition, whether it has members or not.

        In a transaction: only in one the broker takes it while there are members.
        """
        name = f"{self._prefix}{group}"
        producer = new_producer(self._settings, f"{name}/{topic}/{partition}/moved")
        await call(producer.start())
        try:
            at = TopicPartition(self._prefix + topic, partition)
            async with producer.transaction():
                await call(producer.send_offsets_to_transaction({at: position}, name))
        finally:
            await producer.stop()

    async def delete_before(self, topic: str, positions: Positions) -> None:
        """Delete the messages of a topic up to positions, for good."""
        await kafka_topics.delete_before(topic, positions, self._settings)

    def _partitions_at(self, topic: str) -> Sequence[TopicPartition]:
        count = partitions_of(topic, self._settings)
        name = self._prefix + topic
        return [TopicPartition(name, number) for number in range(count)]

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of each partition, by default of the events.

        On Kafka positions belong to one topic: of several, the highest is returned.
        """
        return await self._topics.end_positions(topics or (t.EVENTS,))

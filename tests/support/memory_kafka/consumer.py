"""aiokafka's consumer, of a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    ConsumerStoppedError,
    IllegalStateError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, OffsetAndTimestamp

from tests.support.memory_kafka.broker import Broker, broker_of
from tests.support.memory_kafka.calls import call
from tests.support.memory_kafka.membership import Membership
from tests.support.memory_kafka.partition import Entry, Partition

_RECORDS_MAX = 500
Found = dict[TopicPartition, list["ConsumerRecord[bytes, bytes]"]]


@dataclass(slots=True)
class _Reading:
    """A partition that is read: `position` is None until it is looked up."""

    position: int | None = None
    is_paused: bool = False


class MemoryConsumer:
    """Reads partitions that it chose, or that a group assigns to it."""

    def __init__(
        self,
        *topics: str,
        bootstrap_servers: str,
        group_id: str | None = None,
        group_instance_id: str | None = None,
        auto_offset_reset: str = "latest",
        isolation_level: str = "read_uncommitted",
        session_timeout_ms: int = 10_000,
        heartbeat_interval_ms: int = 3_000,
        metadata_max_age_ms: int = 300_000,
        **_others: Any,
    ) -> None:
        """Prepare; `start` connects."""
        self._broker: Broker = broker_of(bootstrap_servers)
        self._reset = auto_offset_reset
        self._is_committed_only = isolation_level == "read_committed"
        self._readings: dict[TopicPartition, _Reading] = {}
        self._closed = False
        self._membership: Membership | None = None
        self._group = group_id
        if group_id is not None:
            self._membership = Membership(
                self._broker, group_id, group_instance_id, self._on_assigned
            )
            self._membership.session_s = session_timeout_ms / 1000
            self._membership.heartbeat_s = heartbeat_interval_ms / 1000
            self._membership.metadata_s = metadata_max_age_ms / 1000
        if topics:
            self.subscribe(topics)

    def subscribe(
        self,
        topics: Iterable[str] = (),
        listener: ConsumerRebalanceListener | None = None,
    ) -> None:
        """Let the group assign partitions of topics."""
        assert self._membership is not None, "a group is needed"
        self._membership.topics = frozenset(topics)
        self._membership.listener = listener

    def assign(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these partitions."""
        self._readings = {at: _Reading() for at in partitions}

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read."""
        return set(self._readings)

    async def start(self) -> None:
        """Connect, and join the group, as aiokafka does: topics were named before."""
        await call(self._broker, lambda: None)
        if self._membership is not None and self._membership.topics:
            self._membership.begin()
            await self._membership.wait()

    async def stop(self) -> None:
        """Disconnect, and leave the group."""
        if self._closed:
            return
        self._closed = True
        if self._membership is not None:
            await self._membership.end()

    def _on_assigned(self, assigned: frozenset[TopicPartition]) -> None:
        self._readings = {at: _Reading() for at in sorted(assigned)}

    def pause(self, *partitions: TopicPartition) -> None:
        """Read nothing more of these partitions."""
        for at in partitions:
            self._reading(at).is_paused = True

    def resume(self, *partitions: TopicPartition) -> None:
        """Read paused partitions again."""
        for at in partitions:
            self._reading(at).is_paused = False

    def seek(self, at: TopicPartition, offset: int) -> None:
        """Go on from an offset."""
        self._reading(at).position = offset

    async def seek_to_beginning(self, *partitions: TopicPartition) -> bool:
        """Go on from the first offset there is."""
        firsts = await self.beginning_offsets(partitions or self.assignment())
        for at, first in firsts.items():
            if at in self._readings:
                self._readings[at].position = first
        return True

    async def position(self, at: TopicPartition) -> int:
        """Return the offset of the next message."""
        await asyncio.sleep(0)
        reading = self._reading(at)
        if reading.position is None:
            await self._look_up(at, reading)
        assert reading.position is not None
        return reading.position

    def _reading(self, at: TopicPartition) -> _Reading:
        if at not in self._readings:
            raise IllegalStateError(f"Partition {at} is not assigned")
        return self._readings[at]

    async def _look_up(self, at: TopicPartition, reading: _Reading) -> None:
        """Begin at the group's offset, or where the policy says."""
        offset = await self.committed(at) if self._group is not None else None
        if offset is None:
            offset = self._reset_offset(at)
        if reading.position is None:
            reading.position = offset

    def _reset_offset(self, at: TopicPartition) -> int:
        partition = self._broker.partition(at)
        if self._reset == "none":
            raise NoOffsetForPartitionError({at: None})
        return partition.start if self._reset == "earliest" else self._end(at)

    def _end(self, at: TopicPartition) -> int:
        partition = self._broker.partition(at)
        return partition.stable_end if self._is_committed_only else partition.end

    async def getmany(
        self,
        *partitions: TopicPartition,
        timeout_ms: int = 0,
        max_records: int | None = None,
    ) -> Found:
        """Return the next messages; none if no new one comes in time."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_ms / 1000
        while True:
            if self._closed:
                raise ConsumerStoppedError
            if self._membership is not None:
                self._membership.check()
            await self._look_up_all()
            await call(self._broker, lambda: None)
            news = loop.create_future()
            found = self._take(partitions, max_records or _RECORDS_MAX, news)
            left_s = until_s - loop.time()
            if found or left_s <= 0:
                news.cancel()
                return found
            await asyncio.wait([news], timeout=left_s)
            news.cancel()

    async def _look_up_all(self) -> None:
        if self._membership is not None and self._membership.is_joining:
            return
        for at, reading in list(self._readings.items()):
            if reading.position is None and not reading.is_paused:
                await self._look_up(at, reading)

    def _take(
        self,
        wanted: Sequence[TopicPartition],
        limit: int,
        news: asyncio.Future[None],
    ) -> Found:
        """Take what is there, at once: nobody is interrupted between two partitions."""
        found: Found = {}
        if self._membership is not None:
            self._membership.watch(news)
            if self._membership.is_joining:
                return found
        for at, reading in self._readings.items():
            if reading.is_paused or limit <= 0 or (wanted and at not in wanted):
                continue
            if reading.position is None:  # assigned since positions were looked up
                news.set_result(None)
                return found
            partition = self._broker.partition(at)
            if not partition.start <= reading.position <= partition.end:
                if self._reset == "none":
                    raise OffsetOutOfRangeError({at: reading.position})
                reading.position = self._reset_offset(at)
            end = self._end(at)
            entries, reading.position = partition.read(reading.position, limit, end)
            limit -= len(entries)
            if entries:
                found[at] = [record_of(partition, entry) for entry in entries]
            partition.watch(news)
        return found

    async def committed(self, at: TopicPartition) -> int | None:
        """Return the group's offset; None if there is none."""
        assert self._group is not None
        group = self._broker.group(self._group)
        return await call(
            self._broker, lambda: group.offsets.get((at.topic, at.partition))
        )

    async def commit(
        self, offsets: Mapping[TopicPartition, int | OffsetAndMetadata] | None = None
    ) -> None:
        """Store offsets for the group."""
        assert self._membership is not None
        if offsets is None:
            offsets = {
                at: reading.position
                for at, reading in self._readings.items()
                if reading.position is not None
            }
        plain = {
            at: to if isinstance(to, int) else to.offset for at, to in offsets.items()
        }
        if unassigned := [at for at in plain if at not in self._readings]:
            raise IllegalStateError(f"Partitions {unassigned} are not assigned")
        membership = self._membership
        await call(self._broker, lambda: membership.commit(plain))

    async def end_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the offset after the last message, by the consumer's isolation."""
        wanted = list(partitions)
        return await call(self._broker, lambda: {at: self._end(at) for at in wanted})

    async def beginning_offsets(
        self, partitions: Iterable[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the offset of the first message that isn't deleted."""
        wanted = list(partitions)
        return await call(
            self._broker,
            lambda: {at: self._broker.partition(at).start for at in wanted},
        )

    async def offsets_for_times(
        self, timestamps: Mapping[TopicPartition, int]
    ) -> dict[TopicPartition, OffsetAndTimestamp | None]:
        """Return the first message appended at a time or later."""

        def find(at: TopicPartition, timestamp_ms: int) -> OffsetAndTimestamp | None:
            entry = self._broker.partition(at).since(timestamp_ms)
            if entry is None:
                return None
            return OffsetAndTimestamp(entry.offset, entry.timestamp_ms)

        wanted = dict(timestamps)
        return await call(
            self._broker, lambda: {at: find(at, ms) for at, ms in wanted.items()}
        )


def record_of(partition: Partition, entry: Entry) -> ConsumerRecord[bytes, bytes]:
    """Return an entry as a consumer gives it out."""
    message = entry.message
    assert message is not None
    return ConsumerRecord(
        topic=partition.topic,
        partition=partition.number,
        offset=entry.offset,
        timestamp=entry.timestamp_ms,
        timestamp_type=1,
        key=message.key,
        value=message.value,
        checksum=None,
        serialized_key_size=len(message.key or b""),
        serialized_value_size=len(message.value or b""),
        headers=message.headers,
    )

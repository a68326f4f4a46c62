"""Single streams on Kafka: the part of their partition that holds them is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from infra.eventlog.contract import (
    BEGINNING,
    Positions,
    Received,
    StreamExtent,
    StreamExtents,
)
from infra.eventlog.kafka.topic_reader import TopicReader
from schemas import topics

SKEW_US = 5_000_000
"""Clocks of brokers, and of processes, may differ by this much."""
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class StreamReader:
    """Reads streams; without `extents` the entire partition of a stream is read.

    `partition_for_stream` returns the partition of a stream.
    """

    reader: TopicReader
    partition_for_stream: Callable[[str], Awaitable[int]]
    extents: StreamExtents | None

    async def read(
        self, stream: str, after: int, limit: int | None
    ) -> Sequence[Received]:
        """Return the events of a stream after a sequence number, in order.

        Reads from about where the stream began; a closed one only to its last event.
        """
        extent = await self._extent(stream)
        bounds = [
            after + limit if limit is not None else None,
            extent.last_sequence if extent is not None else None,
        ]
        up_to = min((bound for bound in bounds if bound is not None), default=None)
        found = await self._events(stream, extent, up_to)
        return [received for received in found if received.envelope.sequence > after]

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream: reads to the end of its partition."""
        found = await self._events(stream, await self._extent(stream), None)
        return found[-1] if found else None

    async def _extent(self, stream: str) -> StreamExtent | None:
        return await self.extents.find(stream) if self.extents is not None else None

    async def _events(
        self, stream: str, extent: StreamExtent | None, up_to: int | None
    ) -> Sequence[Received]:
        """Return the events of a stream, up to a sequence number if one is given.

        The time of its beginning is by another clock than the broker's: if what is
        found from then on doesn't begin with the first event, all is read.
        """
        if extent is not None:
            start_us = extent.began_us - SKEW_US
            after = await self.reader.since(topics.EVENTS, start_us)
            found = await self._events_after(stream, after, up_to)
            if found and found[0].envelope.sequence == 1:
                return found
        return await self._events_after(stream, BEGINNING, up_to)

    async def _events_after(
        self, stream: str, after: Positions, up_to: int | None
    ) -> Sequence[Received]:
        found: list[Received] = []
        partition = await self.partition_for_stream(stream)
        batches = self.reader.read_to_end(topics.EVENTS, after, _BATCH, partition)
        async for batch in batches:
            # Rejections and other outcomes are on the topic, too, without a sequence.
            found += [
                received
                for received in batch
                if received.envelope.stream == stream and received.envelope.sequence
            ]
            if up_to is not None and found and found[-1].envelope.sequence >= up_to:
                return [r for r in found if r.envelope.sequence <= up_to]
        return found

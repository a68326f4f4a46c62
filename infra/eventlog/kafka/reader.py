"""The log on Kafka as CLI commands read it: events in pages, nothing owned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.eventlog.contract import BEGINNING, Pages, Positions
from infra.eventlog.kafka.log import KafkaLog
from schemas import topics

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class KafkaReader:
    """Reads events in pages."""

    log: KafkaLog

    async def stream(self, stream: str, after: int = 0) -> Pages:
        """Yield the events of a stream after a sequence number, in one page."""
        found = await self.log.stream(stream, after)
        if found:
            yield found

    async def follow_stream(self, stream: str) -> Pages:
        """Follow the events of a stream from its first one, without end."""
        now = await self.end_positions((topics.EVENTS,))
        last = 0
        async for page in self.stream(stream):
            yield page
            last = page[-1].envelope.sequence
        async for page in self.follow(now):
            found = [
                received
                for received in page
                if received.envelope.stream == stream
                and received.envelope.sequence > last
            ]
            if found:
                yield found
                last = found[-1].envelope.sequence

    async def follow(self, after: Positions) -> Pages:
        """Follow all events after positions, without end."""
        async for page in self.log.tail((topics.EVENTS,), after, _PAGE):
            if page:
                yield page

    async def read_range(
        self, end: Positions, topic: str = topics.EVENTS, after: Positions = BEGINNING
    ) -> Pages:
        """Yield a topic's messages after positions and up to others, page by page."""
        async for page in self.log.read_to_end(topic, after, _PAGE):
            yield [r for r in page if r.position <= end.get(r.partition, 0)]

    async def since(self, at_us: int) -> Positions:
        """Return positions before all events appended from a time on."""
        return await self.log.since(topics.EVENTS, at_us)

    async def count_events(self) -> int:
        """Return the number of offsets on the events topic, markers of commits too."""
        return sum((await self.end_positions((topics.EVENTS,))).values())

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of each partition of topics."""
        return await self.log.end_positions(topics)

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored positions; 0 before the first."""
        return await self.log.positions(group, topic)

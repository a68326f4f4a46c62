"""The contract of a log: ordered partitions, atomic append with position, fencing.

A position is that of a message within its partition, from 1 on; 0 is before the first.
On Kafka it is the offset after the message's own, so that a kept position is what a
group commits. Whether topics share positions is the adapter's business:
`positions_before` leads from one topic to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec

from schemas import topics
from schemas.envelope import Envelope

BEGINNING: Mapping[int, int] = MappingProxyType({})
"""Before the first position of every partition."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One message to append: its envelope, and its body's bytes.

    Its key says which partition it goes to, unless it is addressed to one.
    """

    topic: str
    key: str
    envelope: Envelope
    body: bytes
    partition: int | None = None


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One message as read: positions grow within a partition."""

    topic: str
    key: str
    envelope: Envelope
    body: bytes
    partition: int
    position: int


class OwnedPartition(Protocol):
    """A partition of commands that nobody else handles meanwhile."""

    number: int

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        ...

    async def holds(self, key: str) -> bool:
        """Tell whether messages of this key belong to this partition."""
        ...

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic's partition of this number."""
        ...

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append everything and move the position, or nothing of it.

        Raises Transient if it may be tried again, Permanent if a record can't be kept
        whatever is done (nothing was appended), Fenced if this object must be dropped.
        """
        ...


Serve = Callable[[OwnedPartition, asyncio.Event], Awaitable[None]]
"""Serves an owned partition until the event: then it finishes its commit, and returns.
Its state goes with it: the partition may be owned again later, and served anew."""


class Consumer(Protocol):
    """A reader whose positions are kept under the name of its group.

    `generation` grows whenever the group deals partitions anew: then messages may come
    that another member of the group has read, or this one long ago.
    """

    @property
    def generation(self) -> int:
        """Return how often partitions were dealt to this reader."""
        ...

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        ...

    async def commit(self, positions: Mapping[int, int]) -> None:
        """Keep positions of partitions: messages up to them don't come again.

        Those of partitions that are another's by now, and older ones, change nothing.
        """
        ...


class PartitionAssignment(Protocol):
    """Partitions of a topic that fall to this process; it keeps positions elsewhere."""

    async def partitions(self) -> frozenset[int]:
        """Return the partitions that are ours by now; waits for the first deal."""
        ...

    def is_reassigned(self) -> bool:
        """Tell whether other partitions are ours than those that are read."""
        ...

    async def begin(self, positions: Mapping[int, int]) -> None:
        """Read these partitions, and none else, from these positions on."""
        ...

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        ...

    async def reached(self) -> Mapping[int, int]:
        """Return how far was read, on each partition that is read."""
        ...


class Log(Protocol):
    """The source of truth."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append; durable on return. What is there already is dropped silently."""
        ...

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve each partition that falls to this process, until `stop`.

        Whoever owned it before is fenced. The event given to `serve` is set when the
        partition is taken away or at `stop`; who overstays is cancelled.
        """
        ...

    def consume(self, group: str, topic: str) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic from the group's kept position."""
        ...

    def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow topics from positions on, for ever; empty batches when idle.

        Positions belong to one topic: several are followed from their beginnings only,
        unless the log has one order for all.
        """
        ...

    def read_to_end(
        self,
        topic: str,
        after: Mapping[int, int],
        limit: int,
        partition: int | None = None,
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic after positions and was there at the call.

        Of all its partitions, or of one.
        """
        ...

    def read_compacted(
        self, topic: str, partition: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a compacted topic's partition at the call, then end.

        The newest record of each key is among it; older ones may be, before it. A
        record with an empty body is a tombstone: its key is gone.
        """
        ...

    async def positions_before(
        self, received: Received, topic: str
    ) -> Mapping[int, int]:
        """Return positions on a topic: what is there up to them is older than this."""
        ...

    async def partitions(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        ...

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the events of a stream, by sequence."""
        ...

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream."""
        ...

    async def positions(self, group: str, topic: str) -> Mapping[int, int]:
        """Return a group's kept position on each partition; 0 before the first."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of each partition: of these topics, if any."""
        ...


class StreamExtent(NamedTuple):
    """Where the events of a stream lie on the log.

    Its first event is not much older than `began_us`. `ended` is the sequence of its
    last one, if it has come to an end, else 0.
    """

    began_us: int
    ended: int


class StreamExtents(Protocol):
    """Where it is known, beside the log, when streams began and ended."""

    async def find(self, stream: str) -> StreamExtent | None:
        """Return the span of a stream; None if it isn't known, or can't be had now."""
        ...


class PartitionedLog(Log, Protocol):
    """A log whose topics many processes read together, each a share."""

    def join_group(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[PartitionAssignment]:
        """Read what falls to this process, as one of a group."""
        ...


class EventReader(Protocol):
    """What commands read of a log, whichever kind it is."""

    def stream(self, stream: str, after: int = 0) -> AsyncIterator[Sequence[Received]]:
        """Return the events of a stream after a sequence, page by page."""
        ...

    def follow_stream(self, stream: str) -> AsyncIterator[Sequence[Received]]:
        """Follow the events of a stream from its first one, for ever."""
        ...

    def follow(self, after: Mapping[int, int]) -> AsyncIterator[Sequence[Received]]:
        """Follow all events after positions, for ever."""
        ...

    def read_range(
        self,
        end: Mapping[int, int],
        topic: str = topics.EVENTS,
        after: Mapping[int, int] = BEGINNING,
    ) -> AsyncIterator[Sequence[Received]]:
        """Return what is on a topic after positions and up to others, page by page."""
        ...

    async def since(self, at_us: int) -> Mapping[int, int]:
        """Return positions on the events: what was recorded from a time on is after."""
        ...

    async def count_events(self) -> int:
        """Return how many messages there are on the events topic, about."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last positions: of these topics, if any are given."""
        ...

    async def positions(self, group: str, topic: str) -> Mapping[int, int]:
        """Return a group's kept positions; 0 before the first."""
        ...

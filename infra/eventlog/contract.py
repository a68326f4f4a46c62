"""The contract of a log: ordered partitions, atomic append with offset, fencing.

A position is that of a message within its partition, from 1 on; 0 is before the first.
On Kafka it is the offset after the message's own, so that a stored position is the
offset that a group commits. Whether topics share positions depends on the adapter:
`positions_before` translates from one topic to another.

Reading never skips messages that were deleted before they were read: where a position
is lost, that partition isn't served until an operator has stored another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

from schemas import topics
from schemas.envelope import Envelope

Positions: TypeAlias = Mapping[int, int]
"""A position on each partition; 0 on one that isn't in it."""
BEGINNING: Positions = MappingProxyType({})
"""Before the first position of every partition."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A message to append: its envelope, and its body's bytes.

    Its key selects the partition, unless one is given.
    """

    topic: str
    key: str
    envelope: Envelope
    body: bytes
    partition: int | None = None

    def at(self, position: int) -> Received:
        """Return the message as it is read at a position of the first partition."""
        return Received(
            topic=self.topic,
            key=self.key,
            envelope=self.envelope,
            body=self.body,
            partition=0,
            position=position,
        )


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message as read: positions grow within a partition."""

    topic: str
    key: str
    envelope: Envelope
    body: bytes
    partition: int
    position: int


Pages: TypeAlias = AsyncIterator[Sequence[Received]]
"""Messages in order, page by page."""


class OwnedPartition(Protocol):
    """A partition of commands that this process alone handles."""

    number: int

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time."""
        ...

    async def holds(self, key: str) -> bool:
        """Return whether messages of this key belong to this partition."""
        ...

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic's partition of the same number."""
        ...

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append all records and move the position, in one transaction.

        Records of `topics.OWNED` go to the partition of this number, whatever their
        key: a transaction that is left open then hides nothing that another owner has
        written. Raises TransientError if it may be repeated, PermanentError if the log
        can't store a record (nothing was appended), and FencedError if this object
        can't be used any more.
        """
        ...


Serve = Callable[[OwnedPartition, asyncio.Event], Awaitable[None]]
"""Serves an owned partition until the event is set, then ends after its last commit.
Its state goes with it: the partition may be assigned and served again later."""


class Consumer(Protocol):
    """A reader whose positions are stored under the name of its group.

    `generation` grows when partitions are about to be released, and with each
    assignment: messages may then be delivered again that this member or another one of
    the group has read before.
    """

    @property
    def generation(self) -> int:
        """Return how often partitions were released by this reader, or assigned."""
        ...

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time."""
        ...

    async def commit(self, positions: Positions) -> None:
        """Store positions of partitions: messages up to them aren't delivered again.

        Positions of partitions that aren't assigned any more, and older positions,
        change nothing.
        """
        ...

    async def confirm(self) -> None:
        """Return once it is certain that no other member has these partitions.

        It asks the broker only if it hasn't heard from it for a while. Partitions that
        were lost meanwhile, as by a process that was frozen, are released first.
        """
        ...


Release = Callable[[Consumer], Awaitable[None]]
"""Ends what a reader does with its partitions, and may commit. It is awaited before
others get them, for a limited time."""


class PartitionAssignment(Protocol):
    """Partitions of a topic assigned to a process that stores positions itself."""

    async def partitions(self) -> frozenset[int]:
        """Return the assigned partitions; waits for the first assignment."""
        ...

    def is_reassigned(self) -> bool:
        """Return whether the assigned partitions aren't those that are read."""
        ...

    async def begin(self, positions: Positions) -> None:
        """Read these partitions only, from these positions on."""
        ...

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time."""
        ...

    async def reached(self) -> Positions:
        """Return the position reached on each partition that is read."""
        ...


class Log(Protocol):
    """The source of truth."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records, durably; those with a known id are ignored, if possible."""
        ...

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve each partition assigned to this process, until `stop` is set.

        Its previous owner is fenced. The event given to `serve` is set when the
        partition is revoked, and at `stop`; `serve` is cancelled after a timeout.
        """
        ...

    def consume(
        self, group: str, topic: str, release: Release | None = None
    ) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic from the group's stored position.

        `release` is called before partitions are assigned to others, or again.
        """
        ...

    def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from positions on, without end; yields empty batches when idle.

        Positions belong to one topic: several topics can be followed from their
        beginning only, unless the log has one order for all.
        """
        ...

    def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield the messages of a topic after positions, up to the end at the call.

        Of all its partitions, or of one. Nothing that was appended before the call is
        left out: messages behind a transaction that is still open are waited for.
        Raises TransientError if that takes too long.
        """
        ...

    def read_compacted(self, topic: str, partition: int) -> Pages:
        """Yield the messages of a compacted topic's partition, up to the end.

        They include the newest message of each key, maybe after older ones. A message
        with an empty body is a tombstone: its key is deleted.
        """
        ...

    async def positions_before(self, received: Received, topic: str) -> Positions:
        """Return positions on a topic up to which all is older than a message."""
        ...

    async def partitions(self, topic: str) -> int:
        """Return the number of a topic's partitions."""
        ...

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the events of a stream after a sequence number, in order."""
        ...

    async def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream; None if there is none."""
        ...

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored position on each partition; 0 before the first."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of each partition, of these topics or of all."""
        ...


class StreamExtent(NamedTuple):
    """Which part of the log the events of a stream are in.

    Its first event isn't much older than `began_us`. `last_sequence` is the sequence
    number of its last event, if the stream is closed.
    """

    began_us: int
    last_sequence: int | None


class StreamExtents(Protocol):
    """Extents of streams, known from elsewhere than the log."""

    async def find(self, stream: str) -> StreamExtent | None:
        """Return a stream's extent; None if it isn't known or can't be read now."""
        ...


class PartitionedLog(Log, Protocol):
    """A log whose partitions are assigned to the processes of a group."""

    def join_group(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[PartitionAssignment]:
        """Join a group, and read the partitions assigned to this process."""
        ...


class EventReader(Protocol):
    """What CLI commands read of a log, whichever adapter it is."""

    def stream(self, stream: str, after: int = 0) -> Pages:
        """Yield the events of a stream after a sequence number, page by page."""
        ...

    def follow_stream(self, stream: str) -> Pages:
        """Follow the events of a stream from its first one, without end."""
        ...

    def follow(self, after: Positions) -> Pages:
        """Follow all events after positions, without end."""
        ...

    def read_range(
        self, end: Positions, topic: str = topics.EVENTS, after: Positions = BEGINNING
    ) -> Pages:
        """Yield a topic's messages after positions and up to others, page by page."""
        ...

    async def since(self, at_us: int) -> Positions:
        """Return positions before all events recorded from a time on."""
        ...

    async def count_events(self) -> int:
        """Return the approximate number of messages on the events topic."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of each partition, of these topics or of all."""
        ...

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored position on each partition; 0 before the first."""
        ...

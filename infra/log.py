"""The contract of a log: ordered partitions, atomic append with position, fencing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from schemas.envelope import Envelope


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One message to append: its envelope, and its body's bytes."""

    topic: str
    key: str
    envelope: Envelope
    body: bytes


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

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append everything and move the position, or nothing of it.

        Raises Transient if it may be tried again, Fenced if it must not.
        """
        ...


class Consumer(Protocol):
    """A reader whose position is kept under the name of its group."""

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if there is no news for a while."""
        ...

    async def commit(self, position: int) -> None:
        """Keep the position: messages up to it don't come again."""
        ...


class Log(Protocol):
    """The source of truth."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append; durable on return. What is there already is dropped silently."""
        ...

    def own(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[OwnedPartition]:
        """Own a partition of a topic, fencing whoever owned it."""
        ...

    def consume(self, group: str, topic: str) -> AbstractAsyncContextManager[Consumer]:
        """Read a topic from the group's kept position."""
        ...

    def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow topics from positions on, for ever; empty batches when idle."""
        ...

    async def stream(
        self, stream: str, after: int = 0, limit: int | None = None
    ) -> Sequence[Received]:
        """Return the facts of a stream, by sequence."""
        ...

    async def last(self, stream: str) -> Received | None:
        """Return the last fact of a stream."""
        ...

    async def position(self, group: str) -> int:
        """Return a group's kept position; 0 before the first."""
        ...

    async def end(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of each partition: of these topics, if any."""
        ...

"""Cursors on the log: a reader's, a consumer's, and that of an owned partition."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from infra.eventlog.contract import Positions, Received, Record
from infra.eventlog.postgres.feed import RecordFeed
from infra.eventlog.postgres.pages import up_to_bytes
from infra.eventlog.postgres.rows import PARTITION
from infra.retry import retry_transient

SavePosition = Callable[[int], Awaitable[None]]
Commit = Callable[[Sequence[Record], int | None], Awaitable[None]]
EndPosition = Callable[[str], Awaitable[int]]


class FeedCursor:
    """A position in some topics of the log, and what comes after it."""

    def __init__(self, feed: RecordFeed, topics: Sequence[str], after: int) -> None:
        """Begin after a position."""
        self._feed, self._topics, self._after = feed, list(topics), after

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time.

        At most so many, and within the bytes of the settings.
        """
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._feed.poll_interval_s
        while True:
            news = self._feed.news
            found = await self._next(limit)
            if found or loop.time() >= until_s:
                return found
            try:
                async with asyncio.timeout_at(until_s):
                    await news.wait()
            except TimeoutError:
                continue

    async def _next(self, limit: int) -> Sequence[Received]:
        recent = self._feed.recent
        known_end = self._after if recent is None else recent.end
        found: Sequence[Received] | None = None
        if recent is not None:
            found = recent.read(self._topics, self._after, limit)
        if found is None:
            found = await retry_transient(
                lambda: self._feed.select(self._topics, self._after, limit),
                "read_delayed",
            )
        if found:
            found = up_to_bytes(found, self._feed.read_bytes_max)
            self._after = found[-1].position
        else:
            self._after = max(self._after, known_end)
        return found


class PostgresConsumer(FeedCursor):
    """A cursor whose position is stored."""

    generation = 1

    def __init__(
        self, feed: RecordFeed, topic: str, after: int, save: SavePosition
    ) -> None:
        """Begin after a position; `save` stores later ones."""
        super().__init__(feed, (topic,), after)
        self._save = save

    async def commit(self, positions: Positions) -> None:
        """Store the position."""
        if PARTITION in positions:
            await self._save(positions[PARTITION])

    async def confirm(self) -> None:
        """Return: there is no other member."""


class PostgresPartition(FeedCursor):
    """The partition of commands, owned."""

    number = PARTITION

    def __init__(
        self,
        feed: RecordFeed,
        topic: str,
        after: int,
        *,
        commit: Commit,
        end_position: EndPosition,
    ) -> None:
        """Begin after a position; the functions are the log's."""
        super().__init__(feed, (topic,), after)
        self._commit, self._end_position = commit, end_position

    async def holds(self, key: str) -> bool:
        """Return True: there is one partition."""
        del key
        return True

    async def end_position(self, topic: str) -> int:
        """Return the last position of a topic."""
        return await self._end_position(topic)

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append all records and move the position, in one transaction."""
        await self._commit(records, position)

"""Backups of a log: its events and unhandled messages; written, and restored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

from infra.errors import PermanentError
from infra.eventlog.contract import Pages, Positions, Received, Record
from infra.eventlog.event_store import EventStore
from projections.queries import registry
from schemas import topics
from schemas.messages.commands import Heartbeat, Tick
from schemas.messages.registry_events import RegistryMessage
from schemas.wire import codec

PAGE = 1000
REGISTRY_PAGE = 200
_RESTORED = (topics.EVENTS, topics.COMMANDS, topics.DISPATCHES, topics.DEAD_LETTERS)
_UNSTORED = frozenset((codec.type_name(Heartbeat), codec.type_name(Tick)))


class Source(Protocol):
    """What writing a backup needs of a log."""

    def read_to_end(self, topic: str, after: Positions, limit: int) -> Pages:
        """Yield what is on a topic now, after positions."""
        ...

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored positions."""
        ...


class Target(Protocol):
    """What restoring a backup needs of a log."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last positions."""
        ...


async def backup_pages(
    log: Source, store: EventStore
) -> AsyncIterator[Sequence[Record]]:
    """Yield everything that another cluster needs to go on, page by page.

    All events, the registry's too; commands and dispatches that aren't handled; dead
    letters. The stored positions are read first: what was handled up to them is in the
    events, and what was handled since is repeated there and has no effect.
    """
    handled = await log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
    executed = await log.positions(topics.RUNNER_GROUP, topics.DISPATCHES)
    after: dict[str, Positions] = {
        topics.EVENTS: {},
        topics.COMMANDS: handled,
        topics.DISPATCHES: executed,
        topics.DEAD_LETTERS: {},
    }
    for topic in _RESTORED:
        async for page in log.read_to_end(topic, after[topic], PAGE):
            yield [_record(r) for r in page if r.envelope.type not in _UNSTORED]
    async for records in registry_pages(store):
        yield records


async def registry_pages(
    store: EventStore, after: int = 0
) -> AsyncIterator[Sequence[Record]]:
    """Yield the registry's events, in the order in which they were written."""
    while page := await store.events(after, REGISTRY_PAGE):
        yield [record for _, record in page]
        after = page[-1][0]


async def restore_backup(
    pages: Iterable[tuple[Sequence[Record], int]],
    log: Target,
    store: EventStore,
    progress: Callable[[int], None],
) -> int:
    """Append a backup to an empty log; return its number of records.

    `pages` are records with how far the file is read, which `progress` is given.
    Raises PermanentError if the log or the registry isn't empty.
    """
    for topic in _RESTORED:
        if any((await log.end_positions((topic,))).values()):
            message = f"Expected an empty log, but {topic} has records"
            raise PermanentError(message)
    if await store.events(0, 1):
        message = "Expected an empty registry, but it has events"
        raise PermanentError(message)
    count = 0
    for records, read in pages:
        known = [r for r in records if r.topic != topics.REGISTRY]
        events = [r for r in records if r.topic == topics.REGISTRY]
        if known:
            await log.append(known)
        if events:
            await restore_registry(store, events)
        count += len(records)
        progress(read)
    return count


async def restore_registry(
    store: EventStore, records: Sequence[Record], reached: str = ""
) -> None:
    """Append events of the registry, and write its read models."""
    events = [codec.decode_as(record.body, RegistryMessage) for record in records]
    await store.restore(records, also=registry.writer(events), reached=reached)


def _record(received: Received) -> Record:
    return Record(
        topic=received.topic,
        key=received.key,
        envelope=received.envelope,
        body=received.body,
    )

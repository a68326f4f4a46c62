"""The registry relay: copies the registry's events to the log, and restores them.

The registry is stored in Postgres. Its events are copied to `flightlog.registry`, by a
position that is stored beside them: some may be there twice, none is missing. An empty
Postgres is restored from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import PermanentError
from infra.eventlog.contract import Pages, Positions, Record
from infra.eventlog.event_store import EventStore
from infra.retry import retry_transient
from schemas import topics
from workers.dead_letters import dead_letter_record
from workers.operations.backup import REGISTRY_PAGE, registry_pages, restore_registry

NAME = "relay"
POLL_S = 1.0


class RegistryLog(Protocol):
    """A log with the registry's topic."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append records."""
        ...

    def read_to_end(self, topic: str, after: Positions, limit: int) -> Pages:
        """Yield what is on a topic now."""
        ...


@dataclass(slots=True, kw_only=True)
class RegistryRelay:
    """Copies the registry's events to the log, in the order of their writing.

    `refused` counts those that the log can't store: they are in Postgres only.
    """

    store: EventStore
    log: RegistryLog
    poll_s: float = POLL_S
    clock: Clock = SYSTEM_CLOCK
    relayed: int = 0
    refused: int = 0

    async def check(self) -> None:
        """Check that this registry isn't an empty one beside a log that has events.

        Raises PermanentError then: new events would contradict those on the log.
        """
        if await self.store.position(NAME):
            return
        lost = await missing_events(self.store, self.log)
        if lost:
            message = (
                f"Expected a registry with the {len(lost)} events that are on "
                f"{topics.REGISTRY}, but this Postgres lacks them: "
                "run `flightlog replay --swap`"
            )
            raise PermanentError(message)

    async def run(self) -> None:
        """Copy for ever; wait while log or registry can't be reached."""
        position = await retry_transient(
            lambda: self.store.position(NAME), "relay_delayed"
        )
        while True:
            moved = await retry_transient(
                partial(self._copy, position), "relay_delayed"
            )
            if moved == position:
                await asyncio.sleep(self.poll_s)
            position = moved

    async def catch_up(self) -> None:
        """Copy what is there now."""
        position = await self.store.position(NAME)
        while (moved := await self._copy(position)) != position:
            position = moved

    async def _copy(self, position: int) -> int:
        page = await self.store.events(position, REGISTRY_PAGE)
        if not page:
            return position
        try:
            await self.log.append([record for _, record in page])
        except PermanentError:
            for at, record in page:
                await self._append_one(at, record)
        await self.store.save_position(NAME, page[-1][0])
        self.relayed += len(page)
        return page[-1][0]

    async def _append_one(self, position: int, record: Record) -> None:
        """Append an event; one that the log can't store is a dead letter there."""
        try:
            await self.log.append([record])
        except PermanentError as error:
            self.refused += 1
            received, now_us = record.at(position), self.clock.now_us()
            letter = dead_letter_record(received, str(error), now_us, with_body=False)
            await self.log.append([letter])


async def missing_events(store: EventStore, log: RegistryLog) -> list[Record]:
    """Return the events that are on the log and not in the registry, in order."""
    known = {
        record.envelope.id async for page in registry_pages(store) for record in page
    }
    found: list[Record] = []
    async for batch in log.read_to_end(topics.REGISTRY, {}, REGISTRY_PAGE):
        for received in batch:
            if received.envelope.id in known:
                continue
            known.add(received.envelope.id)
            found.append(
                Record(
                    topic=received.topic,
                    key=received.key,
                    envelope=received.envelope,
                    body=received.body,
                )
            )
    return found


async def restore(store: EventStore, log: RegistryLog) -> int:
    """Append the events that the registry lacks; return their number.

    A registry that was empty has nothing to relay afterwards.
    """
    was_empty = not await store.events(0, 1)
    lost = await missing_events(store, log)
    for start in range(0, len(lost), REGISTRY_PAGE):
        page = lost[start : start + REGISTRY_PAGE]
        is_last = start + REGISTRY_PAGE >= len(lost)
        reached = NAME if was_empty and is_last else ""
        await restore_registry(store, page, reached=reached)
    return len(lost)

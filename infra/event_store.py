"""Streams with an expected version, for the registry: on the same library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from eventsourcing.persistence import IntegrityError, StoredEvent
from psycopg import Cursor

from infra.errors import Conflict
from infra.recorder import Recorder, datastore
from schemas import codec

Also = Callable[[Cursor[Any]], None]


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a row's state holds: who wrote it, and the fact's bytes."""

    actor: str
    body: bytes


class EventStore:
    """Facts of the registry; each append runs its read models' writer as well."""

    def __init__(self, url: str) -> None:
        """Prepare; `open` creates the tables."""
        self._datastore = datastore(url, connections=3)
        self._recorder = Recorder(
            self._datastore,
            events_table_name="flightlog_registry",
            tracking_table_name="flightlog_registry_positions",
        )
        self._threads = ThreadPoolExecutor(2, "event-store")

    async def open(self) -> None:
        """Create the tables."""
        await self._run(self._recorder.create_table)

    async def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=True)
        self._datastore.close()

    async def load(self, stream: str) -> list[Any]:
        """Return the facts of a stream; its version is their number."""
        rows = await self._run(lambda: self._recorder.select_events(stream))
        return [
            codec.decode(msgspec.msgpack.decode(row.state, type=Stored).body)
            for row in rows
        ]

    async def append(
        self,
        stream: str,
        expected_version: int,
        events: Sequence[Any],
        *,
        actor: str,
        also: Also | None = None,
    ) -> None:
        """Append facts after a version; raises Conflict if others were first.

        `also` runs in the same transaction, with its cursor.
        """
        rows = [
            StoredEvent(
                originator_id=stream,
                originator_version=expected_version + number,
                topic=codec.type_name(event),
                state=msgspec.msgpack.encode(Stored(actor, codec.encode(event))),
            )
            for number, event in enumerate(events, 1)
        ]
        try:
            await self._run(lambda: self._recorder.insert_events(rows, also=also))
        except IntegrityError as error:
            message = f"Expected {stream} at version {expected_version}, but it moved"
            raise Conflict(message) from error

    async def _run(self, function: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function)

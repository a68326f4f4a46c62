"""Streams with an expected version, for the registry: on the same library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    InterfaceError,
    Notification,
    OperationalError,
    StoredEvent,
    Tracking,
)
from psycopg import Cursor
from psycopg.sql import SQL, Identifier

from infra.errors import ConflictError, TransientError
from infra.eventlog.contract import Record
from infra.postgres.recorder import Recorder, datastore
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.registry_events import RegistryMessage
from schemas.wire import codec

Also = Callable[[Cursor[Any]], None]

_T = TypeVar("_T")
_TABLE = "flightlog_registry"
_THREADS = 2
_BEFORE = SQL(
    "SELECT 1 FROM {} WHERE originator_id = %s AND originator_version = %s"
).format(Identifier(_TABLE))


_REACHED = SQL(
    "INSERT INTO {} (application_name, notification_id) "
    "SELECT %s, max(notification_id) FROM {} "
    "ON CONFLICT (application_name) "
    "DO UPDATE SET notification_id = EXCLUDED.notification_id"
).format(Identifier(f"{_TABLE}_positions"), Identifier(_TABLE))


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """What a row's state holds: who wrote it, and the event's bytes."""

    actor: str
    body: bytes


class EventStore:
    """Events of the registry; each append runs its read models' writer as well."""

    def __init__(self, url: str) -> None:
        """Prepare; `open` connects."""
        self._url = url
        self._threads = ThreadPoolExecutor(_THREADS, "event-store")
        self._recorder: Recorder | None = None

    async def open(self) -> None:
        """Connect, and create the tables."""
        self._recorder = await self._run(self._create)

    def _create(self) -> Recorder:
        recorder = Recorder(
            datastore(self._url, connections=_THREADS),
            events_table_name=_TABLE,
            tracking_table_name=f"{_TABLE}_positions",
        )
        recorder.create_table()
        return recorder

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._threads.shutdown(wait=True)
        if self._recorder is not None:
            self._recorder.datastore.close()

    async def load(self, stream: str) -> list[Any]:
        """Return the events of a stream; its version is their number."""
        recorder = self._opened()
        rows = await self._run(lambda: recorder.select_events(stream))
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
        """Append events after a version; raises Conflict if others were first.

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
        moved = f"Expected {stream} at version {expected_version}, but it isn't"

        def check_and_write(cursor: Cursor[Any]) -> None:
            if expected_version > 0:
                cursor.execute(_BEFORE, (stream, expected_version))
                if cursor.fetchone() is None:
                    raise ConflictError(moved)
            if also is not None:
                also(cursor)

        recorder = self._opened()
        try:
            await self._run(lambda: recorder.insert_events(rows, also=check_and_write))
        except IntegrityError as error:
            raise ConflictError(moved) from error

    async def events(self, after: int, limit: int) -> Sequence[tuple[int, Record]]:
        """Return events of all streams after a position, in the order of their writing.

        Each with its position, as a record of the registry's topic.
        """
        recorder = self._opened()
        rows = await self._run(
            lambda: recorder.select_notifications(
                after, limit, inclusive_of_start=False
            )
        )
        return [(row.id, _record(row)) for row in rows]

    async def restore(
        self,
        records: Sequence[Record],
        *,
        also: Also | None = None,
        reached: str = "",
    ) -> None:
        """Append events as they were once written, each after the one before it.

        Raises Conflict if any of them is there. `reached` names who has seen them:
        its position moves to the end, in the same transaction.
        """
        rows = [_row(record) for record in records]
        recorder = self._opened()

        def write(cursor: Cursor[Any]) -> None:
            if reached:
                cursor.execute(_REACHED, (reached,))
            if also is not None:
                also(cursor)

        try:
            await self._run(lambda: recorder.insert_events(rows, also=write))
        except IntegrityError as error:
            message = "Expected none of these events in the registry, but some are"
            raise ConflictError(message) from error

    async def position(self, name: str) -> int:
        """Return the position that somebody has reached; 0 before the first event."""
        recorder = self._opened()
        return await self._run(lambda: recorder.max_tracking_id(name) or 0)

    async def save_position(self, name: str, position: int) -> None:
        """Keep the position that somebody has reached; an older one changes nothing."""
        recorder = self._opened()
        with suppress(IntegrityError):
            await self._run(lambda: recorder.insert_tracking(Tracking(name, position)))

    def _opened(self) -> Recorder:
        if self._recorder is None:
            raise RuntimeError("Expected an open store, but it wasn't opened")
        return self._recorder

    async def _run(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function)
        except (OperationalError, InterfaceError) as error:
            raise TransientError(str(error)) from error
        except DataError as error:
            # The driver's own words tell which value can't be stored.
            raise (error.__cause__ or error) from None


def _record(row: Notification) -> Record:
    stored = msgspec.msgpack.decode(row.state, type=Stored)
    stream = str(row.originator_id)
    event = codec.decode_as(stored.body, RegistryMessage)
    return Record(
        topic=topics.REGISTRY,
        key=stream,
        envelope=Envelope(
            id=f"{stream}/{row.originator_version}",
            type=row.topic,
            stream=stream,
            sequence=row.originator_version,
            actor=stored.actor,
            recorded_at_us=event.occurred_at_us,
        ),
        body=stored.body,
    )


def _row(record: Record) -> StoredEvent:
    envelope = record.envelope
    return StoredEvent(
        originator_id=envelope.stream,
        originator_version=envelope.sequence,
        topic=envelope.type,
        state=msgspec.msgpack.encode(Stored(envelope.actor, record.body)),
    )

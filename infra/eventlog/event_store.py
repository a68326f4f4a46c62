"""Event streams of the registry, appended to at an expected version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import msgspec
from eventsourcing.persistence import (
    IntegrityError,
    Notification,
    PersistenceError,
    StoredEvent,
    Tracking,
)
from psycopg import Cursor
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from infra.errors import ConflictError
from infra.eventlog.contract import Record
from infra.postgres.failures import Failure, failure_of, unreachable
from infra.postgres.recorder import AlsoWrite, Recorder, open_datastore
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.registry_events import RegistryMessage
from schemas.wire import codec

_T = TypeVar("_T")
_TABLE = "flightlog_registry"
_THREADS = 2
_HAS_VERSION = SQL(
    "SELECT 1 FROM {} WHERE originator_id = %s AND originator_version = %s"
).format(Identifier(_TABLE))
_MOVE_TO_END = SQL(
    "INSERT INTO {} (application_name, notification_id) "
    "SELECT %s, max(notification_id) FROM {} "
    "ON CONFLICT (application_name) "
    "DO UPDATE SET notification_id = EXCLUDED.notification_id"
).format(Identifier(f"{_TABLE}_positions"), Identifier(_TABLE))


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """The state of a row: who appended the event, and its bytes."""

    actor: str
    body: bytes


class EventStore:
    """Events of the registry; an append writes their read models, too."""

    def __init__(self, url: str) -> None:
        """Prepare; `open` connects."""
        self._url = url
        self._threads = ThreadPoolExecutor(_THREADS, "event-store")
        self._opened: Recorder | None = None

    async def open(self) -> None:
        """Connect, and create the tables."""
        self._opened = await self._run(self._create)

    def _create(self) -> Recorder:
        recorder = Recorder(
            open_datastore(self._url, connections=_THREADS),
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
        if self._opened is not None:
            self._opened.datastore.close()

    async def load(self, stream: str) -> list[RegistryMessage]:
        """Return the events of a stream; their number is its version."""
        recorder = self._recorder
        rows = await self._run(lambda: recorder.select_events(stream))
        return [codec.decode_as(_stored(row).body, RegistryMessage) for row in rows]

    async def append(
        self,
        stream: str,
        expected_version: int,
        events: Sequence[RegistryMessage],
        *,
        actor: str,
        also: AlsoWrite | None = None,
    ) -> None:
        """Append events after a version; raises ConflictError if it isn't the last.

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
        conflict = f"Expected {stream} at version {expected_version}, but it isn't"

        def check_and_write(cursor: Cursor[DictRow]) -> None:
            if expected_version > 0:
                cursor.execute(_HAS_VERSION, (stream, expected_version))
                if cursor.fetchone() is None:
                    raise ConflictError(conflict)
            if also is not None:
                also(cursor)

        recorder = self._recorder
        try:
            await self._run(lambda: recorder.insert(rows, also=check_and_write))
        except IntegrityError as error:
            raise ConflictError(conflict) from error

    async def events(self, after: int, limit: int) -> Sequence[tuple[int, Record]]:
        """Return events of all streams after a position, in the order of appending.

        Each with its position, as a record of the registry's topic.
        """
        recorder = self._recorder
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
        also: AlsoWrite | None = None,
        reached: str = "",
    ) -> None:
        """Append events with the versions that they have already.

        Raises ConflictError if any of them is there. `reached` names a reader whose
        position moves to the end, in the same transaction.
        """
        rows = [_row(record) for record in records]
        recorder = self._recorder

        def write(cursor: Cursor[DictRow]) -> None:
            if reached:
                cursor.execute(_MOVE_TO_END, (reached,))
            if also is not None:
                also(cursor)

        try:
            await self._run(lambda: recorder.insert(rows, also=write))
        except IntegrityError as error:
            message = "Expected none of these events in the registry, but some are"
            raise ConflictError(message) from error

    async def position(self, name: str) -> int:
        """Return the position that a reader has stored; 0 before the first event."""
        recorder = self._recorder
        return await self._run(lambda: recorder.max_tracking_id(name) or 0)

    async def save_position(self, name: str, position: int) -> None:
        """Store a reader's position; an older one changes nothing."""
        recorder = self._recorder
        with suppress(IntegrityError):
            await self._run(lambda: recorder.insert_tracking(Tracking(name, position)))

    @property
    def _recorder(self) -> Recorder:
        if self._opened is None:
            raise RuntimeError("Expected an open store, but it wasn't opened")
        return self._opened

    async def _run(self, function: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, function)
        except IntegrityError:
            raise
        except PersistenceError as error:
            match failure_of(error):
                case Failure.OUTAGE:
                    raise unreachable(error) from error
                case Failure.ROW:
                    # The driver's own error says which value can't be stored.
                    raise (error.__cause__ or error) from None
            raise


def _stored(row: StoredEvent | Notification) -> Stored:
    return msgspec.msgpack.decode(row.state, type=Stored)


def _record(row: Notification) -> Record:
    """Return an event as a record; one of a newer version goes on as it is."""
    stored, stream = _stored(row), str(row.originator_id)
    try:
        at_us = codec.decode_as(stored.body, RegistryMessage).occurred_at_us
    except codec.UndecodableMessageError:
        at_us = 0
    return Record(
        topic=topics.REGISTRY,
        key=stream,
        envelope=Envelope(
            id=f"{stream}/{row.originator_version}",
            type=row.topic,
            stream=stream,
            sequence=row.originator_version,
            actor=stored.actor,
            recorded_at_us=at_us,
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

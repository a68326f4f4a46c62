"""The writer of the log on Postgres: the only one, by a lock; used in one thread.

The session that inserts holds the advisory lock, so that nobody else can write
meanwhile. The epoch shows whether somebody did while the session was lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from eventsourcing.persistence import (
    IntegrityError,
    PersistenceError,
    StoredEvent,
    Tracking,
)
from psycopg import Connection
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier, Literal

from infra.errors import FencedError, PermanentError
from infra.eventlog.contract import Received, Record
from infra.eventlog.postgres import compacted as log_compacted
from infra.eventlog.postgres.conflict import Conflict, RowKey, classify
from infra.eventlog.postgres.queries import EVENTS_TABLE, POSITIONS_TABLE
from infra.eventlog.postgres.rows import to_row
from infra.postgres.failures import (
    Failure,
    failure_of,
    outages_are_transient,
    unreachable,
)
from infra.postgres.recorder import AlsoWrite, SingleWriterRecorder, open_datastore
from schemas import topics

_LOCK = 0x666C6C6F67
_LOCK_RETRY_S = 0.02
_EPOCH = "log/epoch"
_TABLE = Identifier(EVENTS_TABLE)

_TRY_LOCK = SQL("SELECT pg_try_advisory_lock(%s) AS held")
_UNLOCK = SQL("SELECT pg_advisory_unlock(%s)")
_KNOWN = SQL(
    "SELECT originator_id, originator_version, state FROM {} "
    "WHERE originator_id = ANY(%s) AND originator_version = ANY(%s)"
).format(_TABLE)
_TRIM = SQL(
    "DELETE FROM {} WHERE topic = %s AND notification_id > %s AND notification_id <= %s"
).format(_TABLE)

# Dead letters are few among many records, and are read from the beginning.
_DEAD_LETTERS_INDEX = SQL(
    "CREATE INDEX IF NOT EXISTS flightlog_log_dead_letters ON {} (notification_id) "
    "WHERE topic = {}"
).format(_TABLE, Literal(topics.DEAD_LETTERS))


@dataclass(frozen=True, slots=True)
class _Insert:
    """Records with their rows, a position, and what else the transaction writes."""

    records: Sequence[Record]
    rows: Sequence[StoredEvent]
    tracking: Tracking | None
    also: AlsoWrite | None


class LogWriter:
    """Inserts records and positions, and trims; every method blocks.

    Raises FencedError when another engine holds the log or has held it meanwhile,
    TransientError when Postgres can't be reached, PermanentError when it can't store
    the records.
    """

    def __init__(self, url: str, lock_timeout_s: float) -> None:
        """Prepare; `open` waits this long for the lock of an engine just killed."""
        self._datastore = open_datastore(url, connections=1)
        self.recorder = SingleWriterRecorder(
            self._datastore,
            events_table_name=EVENTS_TABLE,
            tracking_table_name=POSITIONS_TABLE,
        )
        self.recorder.sql_create_statements.append(_DEAD_LETTERS_INDEX)
        self._lock_timeout_s = lock_timeout_s
        self._session: Connection[DictRow] | None = None
        self._epoch = 0

    def open(self) -> int:
        """Take the lock, create the tables, begin an epoch; return the end position."""
        with outages_are_transient():
            with self._datastore.get_connection() as conn:
                self._lock(conn)
            self.recorder.create_table()
            with self._datastore.get_connection() as conn:
                conn.execute(log_compacted.CREATE)
            self._epoch = (self.recorder.max_tracking_id(_EPOCH) or 0) + 1
            self.recorder.insert_tracking(Tracking(_EPOCH, self._epoch))
            return self.recorder.max_notification_id() or 0

    def close(self) -> None:
        """End the session, which releases the lock."""
        self._datastore.close()

    def insert(
        self, records: Sequence[Record], tracking: Tracking | None
    ) -> Sequence[Received]:
        """Insert all records with the position, or nothing; return the new ones.

        Messages that are known are ignored. A known event, or a position that has been
        passed, means that this very insert was done before, or that the log is fenced.
        """
        kept, compacted = log_compacted.split_compacted(records)
        also = partial(log_compacted.put, records=compacted) if compacted else None
        insert = _Insert(kept, [to_row(record) for record in kept], tracking, also)
        with _translated_errors():
            try:
                return self._insert(insert)
            except IntegrityError as conflict:
                return self._resolve(insert, conflict)

    def _insert(self, insert: _Insert) -> Sequence[Received]:
        ids = self.recorder.insert(
            insert.rows,
            tracking=insert.tracking,
            before=self._check_session,
            also=insert.also,
        )
        return [r.at(i) for r, i in zip(insert.records, ids, strict=True)]

    def _resolve(self, insert: _Insert, conflict: IntegrityError) -> Sequence[Received]:
        """Find out what a conflict means; insert only what is known to be new."""
        tracking = insert.tracking
        found = classify(
            insert.rows,
            self._known(insert.rows),
            tracks=tracking is not None,
            is_passed=tracking is not None and self._is_passed(tracking),
        )
        match found.conflict:
            case Conflict.DONE:
                return ()
            case Conflict.FENCED:
                raise _fenced(insert.records[found.foreign]) from conflict
            case Conflict.REFUSED:
                raise PermanentError(str(conflict)) from conflict
            case Conflict.REPEATED:
                records = [insert.records[place] for place in found.left]
                rows = [insert.rows[place] for place in found.left]
                return self._insert(replace(insert, records=records, rows=rows))

    def _known(self, rows: Sequence[StoredEvent]) -> dict[RowKey, bytes]:
        originators = list({str(row.originator_id) for row in rows})
        versions = list({row.originator_version for row in rows})
        with self._datastore.get_connection() as conn:
            found = conn.execute(_KNOWN, (originators, versions)).fetchall()
        return {
            (str(row["originator_id"]), int(row["originator_version"])): bytes(
                row["state"]
            )
            for row in found
        }

    def _is_passed(self, tracking: Tracking) -> bool:
        stored = self.recorder.max_tracking_id(tracking.application_name) or 0
        return stored >= tracking.notification_id

    def save_position(self, group: str, position: int) -> None:
        """Store a group's position; an older one changes nothing."""
        tracking = Tracking(group, position)
        with _translated_errors():
            try:
                self.recorder.insert((), tracking=tracking, before=self._check_session)
            except IntegrityError:
                return

    def trim(self, topic: str, after: int, up_to: int) -> int:
        """Delete a topic's messages at these positions; return their number."""
        with _translated_errors(), self._datastore.get_connection() as conn:
            self._check_session(conn)
            return conn.execute(_TRIM, (topic, after, up_to)).rowcount

    def _check_session(self, conn: Connection[DictRow]) -> None:
        """Ensure that this session holds the lock, and that no other held it since."""
        if conn is self._session:
            return
        self._lock(conn)
        row = conn.execute(
            self.recorder.max_tracking_id_statement, (_EPOCH,)
        ).fetchone()
        if row is None or row["max"] != self._epoch:
            self._session = None
            conn.execute(_UNLOCK, (_LOCK,))
            message = "Expected to own this log still, but another engine took it over"
            raise FencedError(message)

    def _lock(self, conn: Connection[DictRow]) -> None:
        """Take the lock; the session of a killed engine holds it for a moment."""
        self._session = None
        until_s = time.monotonic() + self._lock_timeout_s
        while not _try_lock(conn):
            if time.monotonic() > until_s:
                message = (
                    "Expected to own this log, but another engine runs on its data"
                )
                raise FencedError(message)
            time.sleep(_LOCK_RETRY_S)
        self._session = conn


def _try_lock(conn: Connection[DictRow]) -> bool:
    row = conn.execute(_TRY_LOCK, (_LOCK,)).fetchone()
    return row is not None and bool(row["held"])


def _fenced(record: Record) -> FencedError:
    return FencedError(
        f"Expected to append {record.envelope.id}, but another engine wrote here"
    )


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn the library's errors into the engine's."""
    try:
        yield
    except PersistenceError as error:
        if failure_of(error) is Failure.OUTAGE:
            raise unreachable(error) from error
        raise PermanentError(str(error)) from error

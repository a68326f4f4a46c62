"""What writes the log on Postgres: the sole writer, held by a lock, one thread.

The advisory lock lies on the very session that inserts, so that nobody else can write
meanwhile; the epoch tells whether somebody did while the session was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    PersistenceError,
    StoredEvent,
    Tracking,
)
from psycopg import Connection, Cursor
from psycopg.sql import SQL, Identifier, Literal

from infra.errors import FencedError, PermanentError, TransientError
from infra.eventlog.contract import Received, Record
from infra.eventlog.postgres import compacted as log_compacted
from infra.eventlog.postgres.rows import at, to_row
from infra.postgres.recorder import SingleWriterRecorder, datastore
from schemas import topics

EVENTS_TABLE = "flightlog_log"
POSITIONS_TABLE = "flightlog_positions"

_LOCK = 0x666C6C6F67
_LOCK_PAUSE_S = 0.02
_EPOCH = "log/epoch"
_TABLE = Identifier(EVENTS_TABLE)

_TRY_LOCK = SQL("SELECT pg_try_advisory_lock(%s) AS held")
_KNOWN = SQL(
    "SELECT originator_id, originator_version, state FROM {} "
    "WHERE originator_id = ANY(%s) AND originator_version = ANY(%s)"
).format(_TABLE)
_TRIM = SQL(
    "DELETE FROM {} WHERE topic = %s AND notification_id > %s AND notification_id <= %s"
).format(_TABLE)

# They are few among many, and are looked for from the beginning.
_FEW = SQL(
    "CREATE INDEX IF NOT EXISTS flightlog_log_dead_letters ON {} (notification_id) "
    "WHERE topic = {}"
).format(_TABLE, Literal(topics.DEAD_LETTERS))
_UNLOCK = SQL("SELECT pg_advisory_unlock(%s)")

_Key = tuple[str, int]
_T = TypeVar("_T")


class LogWriter:
    """Inserts records, positions and trims; every method blocks.

    Raises Fenced when another engine holds the log or has held it meanwhile, Transient
    when Postgres is away, Permanent when it never takes the records.
    """

    def __init__(self, url: str, lock_timeout_s: float) -> None:
        """Prepare; `open` waits this long for the lock of an engine just killed."""
        self._datastore = datastore(url, connections=1)
        self.recorder = SingleWriterRecorder(
            self._datastore,
            events_table_name=EVENTS_TABLE,
            tracking_table_name=POSITIONS_TABLE,
        )
        self.recorder.sql_create_statements.append(_FEW)
        self._lock_timeout_s = lock_timeout_s
        self._session: Connection[Any] | None = None
        self._epoch = 0

    def open(self) -> int:
        """Take the lock, create the tables, begin an epoch; return the end."""
        try:
            with self._datastore.get_connection() as conn:
                self._lock(conn)
            self.recorder.create_table()
            with self._datastore.get_connection() as conn:
                conn.execute(log_compacted.CREATE)
            self._epoch = (self.recorder.max_tracking_id(_EPOCH) or 0) + 1
            self.recorder.insert_tracking(Tracking(_EPOCH, self._epoch))
            return self.recorder.max_notification_id() or 0
        except (OperationalError, InterfaceError) as error:
            raise TransientError(str(error)) from error

    def close(self) -> None:
        """Let go of the lock, with the session."""
        self._datastore.close()

    def insert(
        self, records: Sequence[Record], tracking: Tracking | None
    ) -> Sequence[Received]:
        """Insert everything with the position, or nothing; return what was new.

        Repeated messages are dropped silently; repeated events, or a position that has
        passed, mean that this very insert was done before: or that we are fenced.
        """
        kept, compacted = log_compacted.split_compacted(records)
        rows = [to_row(record) for record in kept]
        also = partial(log_compacted.put, records=compacted) if compacted else None
        insert = partial(self._insert, tracking=tracking, also=also)
        try:
            return insert(kept, rows)
        except IntegrityError as conflict:
            look = partial(self._look, kept, rows, tracking, conflict, insert)
            return self._translated(look)
        except PersistenceError as error:
            raise _translation(error) from error

    def _insert(
        self,
        records: Sequence[Record],
        rows: Sequence[StoredEvent],
        tracking: Tracking | None,
        also: Callable[[Cursor[Any]], None] | None,
    ) -> Sequence[Received]:
        extra: dict[str, Any] = {} if tracking is None else {"tracking": tracking}
        ids = self.recorder.insert_events(rows, first=self._hold, also=also, **extra)
        return [at(r, i) for r, i in zip(records, ids, strict=True)]

    def _look(
        self,
        records: Sequence[Record],
        rows: Sequence[StoredEvent],
        tracking: Tracking | None,
        conflict: IntegrityError,
        insert: Callable[[list[Record], list[StoredEvent]], Sequence[Received]],
    ) -> Sequence[Received]:
        """Find out what a conflict means; never repeat blindly."""
        known = self._known(rows)
        fresh: dict[_Key, tuple[Record, StoredEvent]] = {}
        repeats_event = False
        for record, row in zip(records, rows, strict=True):
            key = _key(row)
            if key not in known and key not in fresh:
                fresh[key] = (record, row)
            elif row.originator_version > 0:
                if known.get(key) != row.state:
                    raise _fenced(record) from conflict
                repeats_event = True
        passed = tracking is not None and self._passed(tracking)
        if not fresh and (passed or tracking is None):
            return ()
        if repeats_event or passed:
            raise _fenced(records[0]) from conflict
        if len(fresh) == len(records):
            raise PermanentError(str(conflict)) from conflict
        left = list(fresh.values())
        return insert([r for r, _ in left], [row for _, row in left])

    def _known(self, rows: Sequence[StoredEvent]) -> dict[_Key, bytes]:
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

    def _passed(self, tracking: Tracking) -> bool:
        kept = self.recorder.max_tracking_id(tracking.application_name) or 0
        return kept >= tracking.notification_id

    def keep_position(self, group: str, position: int) -> None:
        """Keep a group's position; an older one changes nothing."""
        try:
            self.recorder.insert_events(
                (), first=self._hold, tracking=Tracking(group, position)
            )
        except IntegrityError:
            return
        except PersistenceError as error:
            raise _translation(error) from error

    def trim(self, topic: str, after: int, up_to: int) -> int:
        """Delete a topic's messages of these positions; return how many there were."""

        def delete() -> int:
            with self._datastore.get_connection() as conn:
                self._hold(conn)
                return conn.execute(_TRIM, (topic, after, up_to)).rowcount

        return self._translated(delete)

    def _translated(self, function: Callable[[], _T]) -> _T:
        try:
            return function()
        except PersistenceError as error:
            raise _translation(error) from error

    def _hold(self, conn: Connection[Any]) -> None:
        """See that this session holds the lock, and that nobody held it meanwhile."""
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

    def _lock(self, conn: Connection[Any]) -> None:
        """Take the lock; a killed engine's session takes a moment to let go."""
        self._session = None
        until = time.monotonic() + self._lock_timeout_s
        while not _held(conn):
            if time.monotonic() > until:
                message = (
                    "Expected to own this log, but another engine runs on its data"
                )
                raise FencedError(message)
            time.sleep(_LOCK_PAUSE_S)
        self._session = conn


def _held(conn: Connection[Any]) -> bool:
    row = conn.execute(_TRY_LOCK, (_LOCK,)).fetchone()
    return row is not None and bool(row["held"])


def _key(row: StoredEvent) -> _Key:
    return str(row.originator_id), row.originator_version


def _fenced(record: Record) -> FencedError:
    return FencedError(
        f"Expected to append {record.envelope.id}, but another engine wrote here"
    )


def _translation(error: PersistenceError) -> TransientError | PermanentError:
    passing = isinstance(error, OperationalError | InterfaceError | InternalError)
    return TransientError(str(error)) if passing else PermanentError(str(error))

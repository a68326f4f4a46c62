"""The recorder of `eventsourcing`: bulk inserts, and more in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from psycopg import Connection, Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier

from infra.postgres.reconnecting import RECONNECT_TIMEOUT_S

# A single statement for everything would make the server hold all of it at once.
CHUNK_ROWS = 2000
_UNLIMITED_S = 10 * 365 * 86400.0

# The library builds an array of composites in Python; four plain arrays are encoded in
# C and cost a third.
_INSERT = SQL(
    "INSERT INTO {}.{} (originator_id, originator_version, topic, state) "
    "SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[]) "
    "RETURNING notification_id"
)
# The library doesn't expect deletions: its thresholds start no vacuum before 100
# million rows.
_VACUUM = SQL(
    "ALTER TABLE {}.{} SET (autovacuum_vacuum_threshold = 20000, "
    "autovacuum_vacuum_scale_factor = 0.1)"
)

BeforeInsert = Callable[[Connection[DictRow]], None]
"""Called with the connection before the transaction begins."""

AlsoWrite = Callable[[Cursor[DictRow]], None]
"""Writes more in the transaction, as its last step."""


class Recorder(PostgresProcessRecorder):
    """Inserts events together with a position and other rows, or nothing."""

    locks_table: ClassVar[bool] = True
    """Whether the table is locked for each insert, so that ids have no gaps."""

    def __init__(
        self,
        datastore: PostgresDatastore,
        *,
        events_table_name: str,
        tracking_table_name: str,
    ) -> None:
        """Use these tables for events and positions."""
        super().__init__(
            datastore,
            events_table_name=events_table_name,
            tracking_table_name=tracking_table_name,
        )
        schema = Identifier(datastore.schema)
        table = Identifier(events_table_name)
        self._insert_statement = _INSERT.format(schema, table)
        self.sql_create_statements.append(_VACUUM.format(schema, table))
        if not self.locks_table:
            self.lock_table_statements = []

    def insert(
        self,
        events: Sequence[StoredEvent],
        *,
        tracking: Tracking | None = None,
        before: BeforeInsert | None = None,
        also: AlsoWrite | None = None,
    ) -> Sequence[int]:
        """Insert events in one transaction; return their notification ids."""
        ids: list[int] = []
        with self.datastore.get_connection() as conn:
            if before is not None:
                before(conn)
            with conn.transaction(), conn.cursor() as cursor:
                self._insert_events(cursor, events, tracking=tracking)
                for start in range(0, len(events), CHUNK_ROWS):
                    chunk = events[start : start + CHUNK_ROWS]
                    self._insert_stored_events(cursor, chunk)
                    found = self._fetch_ids_after_insert_events(cursor, chunk)
                    ids.extend(found or ())
                if also is not None:
                    also(cursor)
        return ids

    def _insert_stored_events(
        self,
        curs: Cursor[DictRow],
        stored_events: Sequence[StoredEvent],
        **_: Any,  # the library's signature
    ) -> None:
        for statement in self.lock_table_statements:
            curs.execute(statement, prepare=True)
        columns = (
            [str(event.originator_id) for event in stored_events],
            [event.originator_version for event in stored_events],
            [event.topic for event in stored_events],
            [event.state for event in stored_events],
        )
        curs.execute(self._insert_statement, columns, prepare=True)


class SingleWriterRecorder(Recorder):
    """A recorder for a table that one session writes, which holds a lock for it.

    So the table needn't be locked for each insert.
    """

    locks_table = False


def open_datastore(url: str, *, connections: int) -> PostgresDatastore:
    """Return the library's pool for a Postgres URL; originators' ids are texts."""
    parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    store = PostgresDatastore(
        dbname=parts.pop("dbname", "postgres"),
        host=parts.pop("host", "localhost"),
        port=parts.pop("port", "5432"),
        user=parts.pop("user", "postgres"),
        password=parts.pop("password", ""),
        pool_size=1,
        max_overflow=connections - 1,
        conn_max_age=_UNLIMITED_S,
        originator_id_type="text",
    )
    store.pool.reconnect_timeout = RECONNECT_TIMEOUT_S
    kwargs = store.pool.kwargs
    if isinstance(kwargs, dict):
        kwargs.update(parts)  # sslmode and the like
    return store

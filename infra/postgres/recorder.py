"""The recorder of `eventsourcing` as we use it: quick, with more in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from psycopg import Connection, Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

# One statement with everything would make the server hold it all at once.
CHUNK_ROWS = 2000
_FOREVER_S = 10 * 365 * 86400.0

# The library builds an array of composites in Python; four plain arrays are encoded
# in C and cost a third.
_INSERT = SQL(
    "INSERT INTO {}.{} (originator_id, originator_version, topic, state) "
    "SELECT * FROM unnest(%b::text[], %b::bigint[], %b::text[], %b::bytea[]) "
    "RETURNING notification_id"
)
# The library never expects deletes, and lets nothing be vacuumed before 100 million.
_VACUUM = SQL(
    "ALTER TABLE {}.{} SET (autovacuum_vacuum_threshold = 20000, "
    "autovacuum_vacuum_scale_factor = 0.1)"
)


class Recorder(PostgresProcessRecorder):
    """Inserts events, a position and whatever else belongs to it, or nothing."""

    def __init__(
        self,
        datastore: PostgresDatastore,
        *,
        events_table_name: str,
        tracking_table_name: str,
    ) -> None:
        """Keep events and positions in these tables."""
        super().__init__(
            datastore,
            events_table_name=events_table_name,
            tracking_table_name=tracking_table_name,
        )
        schema = Identifier(datastore.schema)
        table = Identifier(events_table_name)
        self._insert = _INSERT.format(schema, table)
        self.sql_create_statements.append(_VACUUM.format(schema, table))

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        first: Callable[[Connection[Any]], None] | None = None,
        also: Callable[[Cursor[Any]], None] | None = None,
        **kwargs: Any,
    ) -> Sequence[int]:
        """Insert in one transaction; return the notification ids.

        `first` sees the connection before the transaction begins, `also` runs in it,
        last.
        """
        ids: list[int] = []
        with self.datastore.get_connection() as conn:
            if first is not None:
                first(conn)
            with conn.transaction(), conn.cursor() as curs:
                self._insert_events(curs, stored_events, **kwargs)
                for start in range(0, len(stored_events), CHUNK_ROWS):
                    chunk = stored_events[start : start + CHUNK_ROWS]
                    self._insert_stored_events(curs, chunk, **kwargs)
                    found = self._fetch_ids_after_insert_events(curs, chunk, **kwargs)
                    ids.extend(found or ())
                if also is not None:
                    also(curs)
        return ids

    def _insert_stored_events(
        self, curs: Cursor[Any], stored_events: Sequence[StoredEvent], **_: Any
    ) -> None:
        for statement in self.lock_table_statements:
            curs.execute(statement, prepare=True)
        columns = (
            [str(e.originator_id) for e in stored_events],
            [e.originator_version for e in stored_events],
            [e.topic for e in stored_events],
            [e.state for e in stored_events],
        )
        curs.execute(self._insert, columns, prepare=True)


class SingleWriterRecorder(Recorder):
    """A recorder whose user knows by a lock that nobody else inserts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Keep events and positions in these tables."""
        super().__init__(*args, **kwargs)
        self.lock_table_statements = []


def datastore(url: str, *, connections: int) -> PostgresDatastore:
    """Return the library's pool for a Postgres URL; originators are texts."""
    parts = {k: str(v) for k, v in conninfo_to_dict(url).items()}
    store = PostgresDatastore(
        dbname=parts.pop("dbname", "postgres"),
        host=parts.pop("host", "localhost"),
        port=parts.pop("port", "5432"),
        user=parts.pop("user", "postgres"),
        password=parts.pop("password", ""),
        pool_size=1,
        max_overflow=connections - 1,
        conn_max_age=_FOREVER_S,
        originator_id_type="text",
    )
    kwargs = store.pool.kwargs
    if isinstance(kwargs, dict):
        kwargs.update(parts)  # sslmode and the like
    return store

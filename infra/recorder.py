"""The recorder of `eventsourcing` as we use it: chunked, with more in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresDatastore, PostgresProcessRecorder
from psycopg import Cursor
from psycopg.conninfo import conninfo_to_dict

# One statement must not outgrow the socket's buffers: the library pipelines a whole
# batch into one array, and from about 3,000 rows both sides wait for each other.
CHUNK_ROWS = 500


class Recorder(PostgresProcessRecorder):
    """Inserts events, a position and whatever else belongs to it, or nothing."""

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        *,
        also: Callable[[Cursor[Any]], None] | None = None,
        **kwargs: Any,
    ) -> Sequence[int]:
        """Insert in one transaction; return the notification ids."""
        ids: list[int] = []
        with (
            self.datastore.get_connection() as conn,
            conn.transaction(),
            conn.cursor() as curs,
        ):
            self._insert_events(curs, stored_events, **kwargs)
            for start in range(0, len(stored_events), CHUNK_ROWS):
                chunk = stored_events[start : start + CHUNK_ROWS]
                self._insert_stored_events(curs, chunk, **kwargs)
                found = self._fetch_ids_after_insert_events(curs, chunk, **kwargs)
                ids.extend(found or ())
            if also is not None:
                also(curs)
        return ids


def datastore(url: str, *, connections: int) -> PostgresDatastore:
    """Return the library's pool for a Postgres URL; originators are texts."""
    parts = {k: str(v) for k, v in conninfo_to_dict(url).items()}
    return PostgresDatastore(
        dbname=parts.get("dbname", "postgres"),
        host=parts.get("host", "localhost"),
        port=parts.get("port", "5432"),
        user=parts.get("user", "postgres"),
        password=parts.get("password", ""),
        pool_size=1,
        max_overflow=connections - 1,
        originator_id_type="text",
    )

"""Queries on the log's tables; every method blocks, and is called in a thread."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Identifier

from infra.eventlog.contract import Received
from infra.eventlog.postgres import compacted
from infra.eventlog.postgres.pages import bounded
from infra.eventlog.postgres.rows import from_row
from infra.postgres.recorder import SingleWriterRecorder, open_datastore

EVENTS_TABLE = "flightlog_log"
POSITIONS_TABLE = "flightlog_positions"

_END_OF = SQL(
    "SELECT notification_id FROM {} WHERE topic = ANY(%s) "
    "ORDER BY notification_id DESC LIMIT 1"
).format(Identifier(EVENTS_TABLE))
_PAGE = bounded(
    SQL(
        "SELECT topic, originator_version, state, notification_id FROM {} "
        "WHERE notification_id > %s AND topic = ANY(%s) "
        "ORDER BY notification_id LIMIT %s"
    ).format(Identifier(EVENTS_TABLE)),
    key=SQL("notification_id"),
    columns=SQL("topic, originator_version, state, notification_id"),
)


class LogQueries:
    """Reads records and positions, by connections of its own."""

    def __init__(self, url: str, connections: int, bytes_max: int) -> None:
        """Connect; pages have at most so many bytes. Raises the library's errors."""
        self._bytes_max = bytes_max
        self._datastore = open_datastore(url, connections=connections)
        self._recorder = SingleWriterRecorder(
            self._datastore,
            events_table_name=EVENTS_TABLE,
            tracking_table_name=POSITIONS_TABLE,
        )

    def close(self) -> None:
        """Close the connections."""
        self._datastore.close()

    def records(
        self, topics: Sequence[str], after: int, limit: int
    ) -> Sequence[Received]:
        """Return the records of topics after a position, in their order."""
        values = (after, list(topics), limit, self._bytes_max)
        with self._datastore.get_connection() as conn:
            rows = conn.execute(_PAGE, values, prepare=True).fetchall()
        return [
            from_row(
                row["topic"],
                row["originator_version"],
                bytes(row["state"]),
                row["notification_id"],
            )
            for row in rows
        ]

    def events(
        self, stream: str, after: int | None, limit: int | None
    ) -> Sequence[Received]:
        """Return the events of a stream, by sequence; positions aren't known (0)."""
        rows = self._recorder.select_events(stream, gt=after, limit=limit)
        return [from_row(r.topic, r.originator_version, r.state, 0) for r in rows]

    def last_event(self, stream: str) -> Received | None:
        """Return the last event of a stream; its position isn't known (0)."""
        rows = self._recorder.select_events(stream, desc=True, limit=1)
        if not rows:
            return None
        return from_row(rows[0].topic, rows[0].originator_version, rows[0].state, 0)

    def compacted(self, topic: str, after: str, limit: int) -> Sequence[Received]:
        """Return the records of a compacted topic's keys after this one, by key."""
        with self._datastore.get_connection() as conn:
            return compacted.page(conn, topic, after, limit, self._bytes_max)

    def end(self, topics: Sequence[str]) -> int:
        """Return the last position, of these topics if any are given."""
        if not topics:
            return self._recorder.max_notification_id() or 0
        with self._datastore.get_connection() as conn:
            row = conn.execute(_END_OF, (list(topics),)).fetchone()
        return int(row["notification_id"]) if row else 0

    def position(self, group: str) -> int:
        """Return a group's stored position; 0 before the first."""
        return self._recorder.max_tracking_id(group) or 0

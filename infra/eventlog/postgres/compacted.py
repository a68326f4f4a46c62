"""Compacted topics on Postgres: one row per key, written with the log's records."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import Connection, Cursor
from psycopg.rows import DictRow
from psycopg.sql import SQL

from infra.eventlog.contract import Received, Record
from infra.eventlog.postgres.pages import bounded
from infra.eventlog.postgres.rows import from_row, to_row
from schemas import topics

CREATE = SQL(
    "CREATE TABLE IF NOT EXISTS flightlog_compacted ("
    "topic text, key text, state bytea NOT NULL, PRIMARY KEY (topic, key))"
)
_PUT = SQL(
    "INSERT INTO flightlog_compacted (topic, key, state) "
    "SELECT * FROM unnest(%b::text[], %b::text[], %b::bytea[]) "
    "ON CONFLICT (topic, key) DO UPDATE SET state = EXCLUDED.state"
)
_DELETE = SQL(
    "DELETE FROM flightlog_compacted WHERE (topic, key) IN "
    "(SELECT * FROM unnest(%b::text[], %b::text[]))"
)
_PAGE = bounded(
    SQL(
        "SELECT key, state FROM flightlog_compacted "
        "WHERE topic = %s AND key > %s ORDER BY key LIMIT %s"
    ),
    key=SQL("key"),
    columns=SQL("key, state"),
)


def split_compacted(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Return the records of other topics, and those of compacted ones."""
    kept, compacted = list[Record](), list[Record]()
    for record in records:
        (compacted if record.topic in topics.COMPACTED else kept).append(record)
    return kept, compacted


def put(cursor: Cursor[DictRow], records: Sequence[Record]) -> None:
    """Store the newest record of each key; an empty body deletes the key."""
    newest = {(r.topic, r.key): r for r in records}
    rows = [(*at, to_row(r).state) for at, r in newest.items() if r.body]
    deleted = [at for at, r in newest.items() if not r.body]
    if rows:
        cursor.execute(_PUT, [list(column) for column in zip(*rows, strict=True)])
    if deleted:
        columns = [list(column) for column in zip(*deleted, strict=True)]
        cursor.execute(_DELETE, columns)


def page(
    conn: Connection[DictRow], topic: str, after: str, limit: int, bytes_max: int
) -> Sequence[Received]:
    """Return the records of the keys after this one; positions aren't known (0)."""
    rows = conn.execute(_PAGE, (topic, after, limit, bytes_max)).fetchall()
    return [from_row(topic, 0, bytes(row["state"]), 0) for row in rows]

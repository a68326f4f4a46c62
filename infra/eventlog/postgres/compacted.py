"""Compacted topics on Postgres: one row a key, written with the log's own records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection, Cursor
from psycopg.sql import SQL

from infra.eventlog.contract import Received, Record
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
_PAGE = SQL(
    "SELECT key, state FROM flightlog_compacted "
    "WHERE topic = %s AND key > %s ORDER BY key LIMIT %s"
)


def split_compacted(records: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Return records that the log keeps for ever, and those of compacted topics."""
    kept, compacted = list[Record](), list[Record]()
    for record in records:
        (compacted if record.topic in topics.COMPACTED else kept).append(record)
    return kept, compacted


def put(cursor: Cursor[Any], records: Sequence[Record]) -> None:
    """Keep the newest record of each key; an empty body takes the key away."""
    newest = {(r.topic, r.key): r for r in records}
    rows = [(*at, to_row(r).state) for at, r in newest.items() if r.body]
    gone = [at for at, r in newest.items() if not r.body]
    if rows:
        cursor.execute(_PUT, [list(column) for column in zip(*rows, strict=True)])
    if gone:
        cursor.execute(_DELETE, [list(column) for column in zip(*gone, strict=True)])


def page(
    conn: Connection[Any], topic: str, after: str, limit: int
) -> Sequence[Received]:
    """Return records of keys after this one, by key; positions are not known (0)."""
    rows = conn.execute(_PAGE, (topic, after, limit)).fetchall()
    return [from_row(topic, 0, bytes(row["state"]), 0) for row in rows]

"""Pages of rows, bounded by their number and by their bytes."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.sql import SQL, Composable, Composed

from infra.eventlog.contract import Received

_BOUNDED = SQL(
    "SELECT {columns} FROM ("
    "SELECT *, sum(octet_length(state)) OVER (ORDER BY {key}) - octet_length(state) "
    "AS bytes_before FROM ({page}) AS page"
    ") AS sized WHERE bytes_before < %s ORDER BY {key}"
)


def bounded(page: Composable, key: SQL, columns: SQL) -> Composed:
    """Return a query of the first rows of a page that are within so many bytes.

    There is at least one, whatever its size. The page is ordered by the key; its rows
    have a `state`, whose length Postgres knows without reading it. The number of bytes
    is the last parameter.
    """
    return _BOUNDED.format(page=page, key=key, columns=columns)


def up_to_bytes(found: Sequence[Received], bytes_max: int) -> Sequence[Received]:
    """Return the first messages that are within so many bytes; at least one."""
    size = 0
    for number, received in enumerate(found):
        if size >= bytes_max:
            return found[:number]
        size += len(received.body)
    return found

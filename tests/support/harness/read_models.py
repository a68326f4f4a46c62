"""Views under test: given events, then rows; each stream is applied twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from psycopg.sql import SQL, Identifier

from infra.postgres.pool import Pool
from projections.projector.projector import Projector
from schemas.messages import execution_events as e
from tests.support.memory_log import MemoryLog

TABLES = (
    "executions",
    "execution_tags",
    "node_executions",
    "task_executions",
    "journal",
    "catalog",
    "cache_uses",
)


@dataclass(slots=True)
class ReadModels:
    """A log and the read models that follow it."""

    pool: Pool
    log: MemoryLog = field(default_factory=MemoryLog)

    async def given(
        self,
        stream: str,
        *events: e.ExecutionEvent,
        command: str = "",
        reply: bool = False,
    ) -> None:
        """Append events and project them; then project once more, without effect."""
        self.log.add(stream, *events, command=command, reply=reply)
        await self.follow()
        once = await self.dump()
        await self.follow()
        assert once == await self.dump()

    async def follow(self, batch_max: int = 1000) -> Projector:
        """Apply what is on the log; return the projector that did it."""
        projector = Projector(self.log, self.pool, batch_max=batch_max)
        await projector.catch_up()
        return projector

    async def dump(self) -> dict[str, list[Any]]:
        """Return all rows of all views, in an order of their own."""
        return {table: await self.rows(table) for table in TABLES}

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows."""
        statement = SQL("SELECT * FROM {}").format(Identifier(table))
        async with self.pool.connection() as conn:
            cursor = await conn.execute(statement)
            found: list[dict[str, Any]] = await cursor.fetchall()
        return sorted(found, key=repr)

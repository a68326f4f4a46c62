"""Read models under test: given events, then rows; each stream is applied twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from psycopg.sql import SQL, Identifier

from infra.postgres.pool import Pool
from projections.projector.projector import Projector
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections
from schemas.messages import execution_events as e
from schemas.messages.rejections import Rejected
from tests.support.memory_log import MemoryLog

T = TypeVar("T")


def accepted(found: T | Rejected) -> T:
    """Return what a query found; a rejection fails the test."""
    assert not isinstance(found, Rejected), found
    return found


@dataclass(slots=True)
class ReadModels:
    """A log and the read models that follow it."""

    pool: Pool
    log: MemoryLog = field(default_factory=MemoryLog)
    projections: StreamProjections = STREAM_PROJECTIONS

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
        projector = Projector(
            self.log, self.pool, batch_max=batch_max, projections=self.projections
        )
        await projector.catch_up()
        return projector

    async def dump(self) -> dict[str, list[Any]]:
        """Return all rows of all read models, in any order."""
        return {table: await self.rows(table) for table in self.projections.tables}

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows."""
        statement = SQL("SELECT * FROM {}").format(Identifier(table))
        async with self.pool.connection() as conn:
            cursor = await conn.execute(statement)
            found: list[dict[str, Any]] = await cursor.fetchall()
        return sorted(found, key=repr)

"""The projector: applies events and its position in one Postgres transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from psycopg import OperationalError

from infra.database import Pool
from infra.errors import Conflict
from infra.log import Log, Received
from projections.changes import Changes
from projections.writing import write
from schemas import codec, topics

log_ = structlog.get_logger(__name__)

NAME = "views"
_VIEWS = "executions, execution_tags, node_executions, task_executions, journal"
_MOVE = """
INSERT INTO projector_positions AS p (name, log_partition, position)
VALUES (%(name)s, %(partition)s, %(to)s)
ON CONFLICT (name, log_partition) DO UPDATE SET position = %(to)s
WHERE p.position = %(from)s
"""
Settle = Callable[[str, tuple[Any, ...]], None]


def _nobody(_command_id: str, _outcome: tuple[Any, ...]) -> None:
    """Tell nobody in this process what became of a command."""


@dataclass(slots=True)
class Projector:
    """Follows `flightlog.events`; `settle` hears outcomes after their commit."""

    log: Log
    pool: Pool
    batch_max: int = 1000
    retry_s: float = 0.5
    settle: Settle = _nobody
    applied: int = 0
    position: int = 0
    reached: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        """Apply events for ever."""
        self.position = await self._kept()
        after = {0: self.position}
        async for batch in self.log.tail((topics.EVENTS,), after, self.batch_max):
            if batch:
                await self._apply_patiently(batch)

    async def catch_up(self) -> None:
        """Apply what is there now, and return: for the start of an engine."""
        self.position = await self._kept()
        end = (await self.log.end()).get(0, 0)
        if self.position >= end:
            return
        after = {0: self.position}
        async for batch in self.log.tail((topics.EVENTS,), after, self.batch_max):
            if not batch:
                return
            await self._apply_patiently(batch)
            if self.position >= end:
                return

    async def _kept(self) -> int:
        async with self.pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT position FROM projector_positions WHERE name = %s", (NAME,)
            )
            row = await cursor.fetchone()
        return int(str(row["position"])) if row else 0

    async def _apply_patiently(self, batch: Sequence[Received]) -> None:
        while True:
            try:
                await self._apply(batch)
            except OperationalError as error:
                log_.warning("projector_waits", error=str(error), wait_s=self.retry_s)
                await asyncio.sleep(self.retry_s)
            else:
                return

    async def _apply(self, batch: Sequence[Received]) -> None:
        """Apply a batch; an event that can't be decoded stops the projector."""
        changes = Changes()
        for received in batch:
            changes.take(received.envelope, codec.decode(received.body))
        move = {
            "name": NAME,
            "partition": batch[-1].partition,
            "from": self.position,
            "to": batch[-1].position,
        }
        async with self.pool.connection() as conn, conn.transaction():
            cursor = await conn.execute(_MOVE, move)
            if cursor.rowcount != 1:
                message = "Expected to be the only projector, but its position moved"
                raise Conflict(message)
            await write(conn.cursor(), changes)
        self.position = batch[-1].position
        self.applied += len(batch)
        for command_id, outcome in changes.outcomes.items():
            self.settle(command_id, outcome)


async def rebuild(
    log: Log, pool: Pool, progress: Callable[[int], None] = lambda _n: None
) -> int:
    """Empty the views of executions and fold the whole log again; return events."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(f"TRUNCATE {_VIEWS}")
        await conn.execute("DELETE FROM projector_positions WHERE name = %s", (NAME,))
    projector = Projector(log, pool, settle=lambda _c, _o: progress(projector.applied))
    end: Mapping[int, int] = await log.end()
    if end.get(0, 0):
        await projector.catch_up()
    progress(projector.applied)
    return projector.applied

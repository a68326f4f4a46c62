"""The projector: applies events and its position in one Postgres transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from psycopg import AsyncConnection, OperationalError

from infra.errors import ConflictError
from infra.eventlog.contract import Received
from infra.postgres.pool import Pool, queries
from projections.positions import PROJECTOR, have_reached, stored_positions
from projections.projector.writer import write
from projections.sql_files import SQL_FILES
from projections.views.apply import take
from projections.views.changes import Changes
from schemas import topics
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

_SQL = queries(SQL_FILES / "projector.sql")
_PROVEN_S = 2.0
"""What was committed this long ago is on the disk: a crash of Postgres keeps it."""
# Decoding is work for the processor: others get their turn after so many messages.
_TURN = 200
Settle = Callable[[str, tuple[Any, ...]], None]


class EventLog(Protocol):
    """What the projector asks of the log."""

    def tail(
        self, topics: Sequence[str], after: Mapping[int, int], limit: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Follow topics from positions on, for ever; empty batches when idle."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Mapping[int, int]:
        """Return the last position of each partition: of these topics, if any."""
        ...


def _nobody(_command_id: str, _outcome: tuple[Any, ...]) -> None:
    """Tell nobody in this process what became of a command."""


def _no_progress(_applied: int) -> None:
    """Tell nobody how far it is."""


class ReadModelsWentBackError(Exception):
    """A crash of Postgres took the last commits, which don't wait for the disk."""


@dataclass(slots=True)
class Projector:
    """Follows `flightlog.events`; `settle` hears outcomes after their commit.

    For metrics: `applied` counts events, `positions` tells how far it is on each
    partition, `recorded_at_us` when the last event applied was recorded, and `stopped`
    why it ended, if it did.
    """

    log: EventLog
    pool: Pool
    batch_max: int = 1000
    retry_s: float = 0.5
    retry_s_max: float = 5.0
    outcomes_kept_s: float = 3600.0
    trim_s: float = 60.0
    settle: Settle = _nobody
    progress: Callable[[int], None] = _no_progress
    outcomes: bool = True
    only: frozenset[int] | None = None
    applied: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    recorded_at_us: int = 0
    stopped: str = ""
    _trimmed_at_s: float = 0.0
    _unproven_s: float | None = None

    @property
    def position(self) -> int:
        """The position reached on the only partition of the embedded log."""
        return self.positions.get(0, 0)

    async def run(self) -> None:
        """Apply events for ever; raises UndecodableMessage for one it can't read."""
        await self._follow(end=None)

    async def catch_up(self) -> None:
        """Apply what is there now, and return: for the start of an engine."""
        await self._follow(end=await self.log.end_positions((topics.EVENTS,)))

    async def _follow(self, end: Mapping[int, int] | None) -> None:
        while True:
            await self.load()
            try:
                await self._follow_on(end)
            except ReadModelsWentBackError as error:
                log_.warning("read_models_reverted", error=str(error))
            else:
                return

    async def _follow_on(self, end: Mapping[int, int] | None) -> None:
        if end is not None and self._reached(end):
            return
        after = dict(self.positions)
        async for batch in self.log.tail((topics.EVENTS,), after, self.batch_max):
            if batch:
                await self.take(batch)
            if end is not None and (not batch or self._reached(end)):
                return
            if not batch:
                await self.prove()
            await self.trim()

    async def prove(self) -> None:
        """Look, once there is no news, whether the last commits outlived a crash.

        Without news nothing else would show that the views went back.
        """
        if self._unproven_s is None:
            return
        applied = dict(self.positions)
        await self.load()
        if self.positions != applied:
            message = f"Expected to be at {applied}, but views are at {self.positions}"
            raise ReadModelsWentBackError(message)
        if asyncio.get_running_loop().time() >= self._unproven_s + _PROVEN_S:
            self._unproven_s = None

    def _reached(self, end: Mapping[int, int]) -> bool:
        return have_reached(self.positions, end)

    async def load(self) -> None:
        """Find the positions that the views have reached."""
        await self._retry_transient(self._load)

    async def _load(self) -> None:
        async with self.pool.connection() as conn:
            stored = await stored_positions(conn)
        self.positions = {
            number: position
            for number, position in stored.items()
            if self.only is None or number in self.only
        }

    async def take(
        self, batch: Sequence[Received], ends: Mapping[int, int] | None = None
    ) -> None:
        """Apply a batch; an event that can't be applied stops the projector.

        `ends` tells how far the log was read, if that is further than its last events.
        """
        to = _ends(batch) if ends is None else ends
        try:
            changes = await self._fold(batch)
            await self._retry_transient(lambda: self._commit(to, changes))
        except (ReadModelsWentBackError, ConflictError):
            raise
        except Exception as error:
            self.stopped = str(error) or repr(error)
            first, last = batch[0].position, batch[-1].position
            why = self.stopped
            log_.error("projector_stopped", first=first, last=last, error=why)  # noqa: TRY400 - raised on, with its trace
            raise
        self.positions |= to
        self._unproven_s = asyncio.get_running_loop().time()
        self.applied += len(batch)
        self.recorded_at_us = batch[-1].envelope.recorded_at_us
        for command_id, outcome in changes.outcomes.items():
            self.settle(command_id, outcome)
        self.progress(self.applied)

    async def _fold(self, batch: Sequence[Received]) -> Changes:
        changes = Changes()
        for number, received in enumerate(batch, 1):
            try:
                take(changes, received.envelope, codec.decode(received.body))
            except (codec.UndecodableMessageError, KeyError) as error:
                where = f"event '{received.envelope.id}' at {received.position}"
                message = f"Expected to apply {where}, but: {error}"
                raise codec.UndecodableMessageError(message) from error
            if number % _TURN == 0:
                await asyncio.sleep(0)
        if not self.outcomes:
            changes.outcomes.clear()
        return changes

    async def _retry_transient(self, deed: Callable[[], Any]) -> None:
        """Do it; wait out, for as long as it takes, that Postgres is away."""
        wait_s = self.retry_s
        while True:
            try:
                await deed()
            except OperationalError as error:
                log_.warning("projection_delayed", error=str(error), wait_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, self.retry_s_max)
            else:
                return

    async def pass_by(self, ends: Mapping[int, int]) -> None:
        """Move on past what is no event."""
        moved = {p: to for p, to in ends.items() if to > self.positions.get(p, 0)}
        if moved:
            await self._retry_transient(lambda: self._commit(moved, Changes()))
            self.positions |= moved

    async def _commit(self, ends: Mapping[int, int], changes: Changes) -> None:
        async with self.pool.connection() as conn, conn.transaction():
            if await self._move(conn, ends):
                async with conn.pipeline():
                    await conn.execute(_SQL["hurry"])
                    await write(conn.cursor(), changes)

    async def _move(self, conn: AsyncConnection[Any], ends: Mapping[int, int]) -> bool:
        """Move the positions; False if an answer was lost and it is done already."""
        for partition, to in ends.items():
            before = self.positions.get(partition, 0)
            move = {"name": PROJECTOR, "partition": partition, "from": before, "to": to}
            cursor = await conn.execute(_SQL["move"], move)
            if cursor.rowcount == 1:
                continue
            kept = await stored_positions(conn)
            if ends.items() <= kept.items():
                return False
            message = (
                f"Expected to be the only projector and at {before}, "
                f"but its position is {kept.get(partition)}"
            )
            if kept.get(partition, 0) < before:
                raise ReadModelsWentBackError(message)
            raise ConflictError(message)
        return True

    async def trim(self) -> None:
        """Forget old outcomes, now and then."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._trimmed_at_s + self.trim_s:
            return
        self._trimmed_at_s = now_s

        async def trim() -> None:
            async with self.pool.connection() as conn:
                await conn.execute(_SQL["trim_outcomes"], (self.outcomes_kept_s,))

        await self._retry_transient(trim)


def _ends(batch: Sequence[Received]) -> dict[int, int]:
    """Return the last position of each partition in a batch."""
    return {received.partition: received.position for received in batch}


async def rebuild(
    log: EventLog, pool: Pool, progress: Callable[[int], None] = _no_progress
) -> int:
    """Empty the views of executions and fold the whole log again; return events.

    `progress` is told the events applied so far. Outcomes stay as they are: nobody
    waits for old ones. A projector that runs meanwhile ends by Conflict; one that
    starts after this was killed goes on where it got to.
    """
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(_SQL["empty"])
        await conn.execute(_SQL["forget"], (PROJECTOR,))
    projector = Projector(log, pool, outcomes=False, progress=progress)
    await projector.catch_up()
    return projector.applied

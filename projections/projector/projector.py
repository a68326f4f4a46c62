"""The projector: applies events and its position in one Postgres transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog
from psycopg.sql import SQL, Identifier

from infra.errors import ConflictError
from infra.eventlog.contract import Pages, Positions, Received
from infra.postgres.failures import outages_are_transient
from infra.postgres.pool import Pool, queries
from infra.retry import retry_transient
from projections.positions import PROJECTOR, have_reached, stored_positions
from projections.projector.commit import ReadModelsRolledBackError, commit
from projections.rows import Outcome
from projections.sql_files import SQL_FILES
from projections.views.apply import STREAM_PROJECTIONS, StreamProjections
from projections.views.changes import Changes
from schemas import topics
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

_SQL = queries(SQL_FILES / "projector.sql")
_DURABLE_S = 2.0
"""What was committed this long ago is on the disk: no crash of Postgres loses it."""
# Decoding uses the processor: other tasks of the event loop run after so many messages.
_YIELD_EVERY = 200


class EventLog(Protocol):
    """What the projector reads of the log."""

    def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from positions on, for ever; empty batches when idle."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of each partition: of these topics, if any."""
        ...


def _ignore_outcome(_outcome: Outcome) -> None:
    """Ignore an outcome: processes that wait for it read the table."""


def _ignore_progress(_applied: int) -> None:
    """Report no progress."""


@dataclass(slots=True)
class Projector:
    """Follows `flightlog.events`; `on_outcome` gets each outcome after its commit.

    `partitions` are those that it applies, None for all.
    For metrics: `applied` counts events, `positions` has the position reached on each
    partition, `recorded_at_us` when the last applied event was recorded, and `stopped`
    the error that ended it ('' while it runs).
    """

    log: EventLog
    pool: Pool
    batch_max: int = 1000
    retry_s: float = 0.5
    outcomes_kept_s: float = 3600.0
    trim_s: float = 60.0
    on_outcome: Callable[[Outcome], None] = _ignore_outcome
    progress: Callable[[int], None] = _ignore_progress
    writes_outcomes: bool = True
    partitions: frozenset[int] | None = None
    projections: StreamProjections = STREAM_PROJECTIONS
    applied: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    recorded_at_us: int = 0
    stopped: str = ""
    _trimmed_at_s: float = 0.0
    _committed_at_s: float | None = None

    @property
    def position(self) -> int:
        """The position reached on the only partition of the embedded log."""
        return self.positions.get(0, 0)

    async def run(self) -> None:
        """Apply events for ever; raises UndecodableMessageError for unknown ones."""
        await self._follow(end=None)

    async def catch_up(self) -> None:
        """Apply the events that are on the log now, then return."""
        await self._follow(end=await self.log.end_positions((topics.EVENTS,)))

    async def _follow(self, end: Positions | None) -> None:
        while True:
            await self.load()
            try:
                await self._follow_from_positions(end)
            except ReadModelsRolledBackError as error:
                log_.warning("read_models_rolled_back", error=str(error))
            else:
                return

    async def _follow_from_positions(self, end: Positions | None) -> None:
        if end is not None and have_reached(self.positions, end):
            return
        after = dict(self.positions)
        async for batch in self.log.tail((topics.EVENTS,), after, self.batch_max):
            if batch:
                await self.apply_batch(batch)
            if end is not None and (not batch or have_reached(self.positions, end)):
                return
            if not batch:
                await self.check_last_commits()
            await self.trim_outcomes()

    async def check_last_commits(self) -> None:
        """Check, while there are no new events, that the last commits weren't lost.

        Raises ReadModelsRolledBackError if they were; a later event would also show it.
        """
        if self._committed_at_s is None:
            return
        applied = dict(self.positions)
        await self.load()
        if self.positions != applied:
            message = (
                f"Expected the read models at {applied}, but they are at "
                f"{self.positions}"
            )
            raise ReadModelsRolledBackError(message)
        if asyncio.get_running_loop().time() >= self._committed_at_s + _DURABLE_S:
            self._committed_at_s = None

    async def load(self) -> None:
        """Load the positions that the read models have reached."""
        await self._retry(self._load)

    async def _load(self) -> None:
        async with self.pool.connection() as conn:
            stored = await stored_positions(conn)
        self.positions = {
            number: position
            for number, position in stored.items()
            if self.partitions is None or number in self.partitions
        }

    async def apply_batch(
        self, batch: Sequence[Received], ends: Positions | None = None
    ) -> None:
        """Apply a batch; an event that can't be applied stops the projector.

        `ends` are the positions up to which the log was read, if those are beyond the
        last events.
        """
        to = _last_positions(batch) if ends is None else ends
        try:
            changes = await self._fold(batch)
            await self._retry(lambda: self._commit(to, changes))
        except (ReadModelsRolledBackError, ConflictError):
            raise
        except Exception as error:
            self.stopped = str(error) or repr(error)
            first, last = batch[0].position, batch[-1].position
            why = self.stopped
            log_.error("projector_stopped", first=first, last=last, error=why)  # noqa: TRY400 - raised again, with its trace
            raise
        self.positions |= to
        self._committed_at_s = asyncio.get_running_loop().time()
        self.applied += len(batch)
        self.recorded_at_us = batch[-1].envelope.recorded_at_us
        for outcome in changes.outcomes.values():
            self.on_outcome(outcome)
        self.progress(self.applied)

    async def _fold(self, batch: Sequence[Received]) -> Changes:
        changes, decode = Changes(), self.projections.messages.decode
        for number, received in enumerate(batch, 1):
            try:
                event = decode(received.body)
                self.projections.apply(changes, received.envelope, event)
            except (codec.UndecodableMessageError, KeyError) as error:
                where = f"event '{received.envelope.id}' at {received.position}"
                message = f"Expected to apply {where}, but: {error}"
                raise codec.UndecodableMessageError(message) from error
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        if not self.writes_outcomes:
            changes.outcomes.clear()
        return changes

    async def _retry(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run an action, again and again while Postgres can't be reached."""

        async def attempt() -> None:
            with outages_are_transient():
                await action()

        await retry_transient(attempt, "projection_delayed", self.retry_s)

    async def skip_to(self, ends: Positions) -> None:
        """Move the positions past records that are no events."""
        moved = {p: to for p, to in ends.items() if to > self.positions.get(p, 0)}
        if moved:
            await self._retry(lambda: self._commit(moved, Changes()))
            self.positions |= moved

    async def _commit(self, ends: Positions, changes: Changes) -> None:
        await commit(self.pool, self.positions, ends, changes)

    async def trim_outcomes(self) -> None:
        """Delete old outcomes, once in a while."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._trimmed_at_s + self.trim_s:
            self._trimmed_at_s = now_s
            await self._retry(self._trim)

    async def _trim(self) -> None:
        async with self.pool.connection() as conn:
            await conn.execute(_SQL["trim_outcomes"], (self.outcomes_kept_s,))


def _last_positions(batch: Sequence[Received]) -> dict[int, int]:
    """Return the last position of each partition in a batch."""
    return {received.partition: received.position for received in batch}


async def rebuild(
    log: EventLog,
    pool: Pool,
    progress: Callable[[int], None] = _ignore_progress,
    projections: StreamProjections = STREAM_PROJECTIONS,
) -> int:
    """Empty the read models of executions and fold all events; return how many.

    `progress` is called with the number of events applied so far. Outcomes stay: nobody
    waits for old ones. A projector that runs meanwhile ends by ConflictError; one that
    starts after a rebuild was killed continues it.
    """
    async with pool.connection() as conn, conn.transaction():
        tables = SQL(", ").join(map(Identifier, projections.tables))
        await conn.execute(SQL("TRUNCATE {}").format(tables))
        await conn.execute(_SQL["delete_positions"], (PROJECTOR,))
    projector = Projector(
        log,
        pool,
        writes_outcomes=False,
        progress=progress,
        projections=projections,
    )
    await projector.catch_up()
    return projector.applied

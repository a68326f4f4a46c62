"""The projector: applies events and its position in one Postgres transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import structlog
from psycopg.sql import SQL, Identifier

from infra.errors import ConflictError
from infra.eventlog.contract import Pages, Positions, Received
from infra.postgres.failures import retry_outages
from infra.postgres.pool import Pool, queries
from projections.positions import PROJECTOR, have_reached, stored_positions
from projections.projector.commit import (
    Commit,
    ReadModelsMovedError,
    ReadModelsRolledBackError,
    commit,
)
from projections.projector.passed_over import (
    NOTHING_PASSED,
    PassedOver,
    Refused,
    UnstorableEventError,
    passed_over,
)
from projections.rows import CATALOG_DELETIONS, PASSED_OVER, Outcome
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
    partition, `recorded_at_us` when the last applied event was recorded, `passed` the
    streams that are passed over, and `stopped` the error that ended it ('' while it
    runs).
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
    passed: PassedOver = NOTHING_PASSED
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
            except ReadModelsMovedError as error:
                log_.warning("read_models_moved", error=str(error))
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
        """Load the positions of the read models, and what they pass over."""
        await self._retry(self._load)

    async def _load(self) -> None:
        async with self.pool.connection() as conn:
            self.passed = await passed_over(conn)
            stored = await stored_positions(conn)
        self.positions = {
            number: position
            for number, position in stored.items()
            if self.partitions is None or number in self.partitions
        }

    async def apply_batch(
        self, batch: Sequence[Received], ends: Positions | None = None
    ) -> None:
        """Apply a batch; an event that can't be decoded stops the projector.

        `ends` are the positions up to which the log was read, if those are beyond the
        last events. A stream with an event that the read models can't hold is passed
        over.
        """
        to = _last_positions(batch) if ends is None else ends
        try:
            try:
                outcomes = await self._apply(batch, to)
            except UnstorableEventError:
                outcomes = await self._apply_one_by_one(batch, to)
        except (ReadModelsMovedError, ConflictError):
            raise
        except Exception as error:
            self.stopped = str(error) or repr(error)
            first, last = batch[0].position, batch[-1].position
            why = self.stopped
            log_.error("projector_stopped", first=first, last=last, error=why)  # noqa: TRY400 - raised again, with its trace
            raise
        self.applied += len(batch)
        self.recorded_at_us = batch[-1].envelope.recorded_at_us
        for outcome in outcomes:
            self.on_outcome(outcome)
        self.progress(self.applied)

    async def _apply(
        self, batch: Sequence[Received], to: Positions
    ) -> Collection[Outcome]:
        """Apply a batch in one transaction; return the outcomes in it."""
        changes = await self._fold(batch)
        await self._commit(to, changes)
        return changes.outcomes.values()

    async def _apply_one_by_one(
        self, batch: Sequence[Received], to: Positions
    ) -> Collection[Outcome]:
        """Apply events one by one: the streams of those that can't be are passed over.

        The last one of a partition moves its position to where the batch does.
        """
        outcomes: list[Outcome] = []
        last = {received.partition: received for received in batch}
        for received in batch:
            number = received.partition
            is_last = received is last[number]
            reached = {number: to[number] if is_last else received.position}
            try:
                outcomes += await self._apply((received,), reached)
            except UnstorableEventError as error:
                outcomes += await self._pass_over(received, reached, error)
        return outcomes

    async def _pass_over(
        self, received: Received, to: Positions, error: UnstorableEventError
    ) -> Collection[Outcome]:
        """Pass the stream of an event over; the outcome in it is written.

        A message that is no event of its stream costs nothing but itself.
        """
        envelope, changes = received.envelope, Changes()
        log_.error("stream_passed_over", id=envelope.id, error=str(error))
        refused = None
        if envelope.sequence:
            message = self._decode(received)
            if self.writes_outcomes:
                self.projections.apply_outcome(changes, envelope, message)
            refused = Refused(
                stream=envelope.stream, sequence=envelope.sequence, error=str(error)
            )
        await self._commit(to, changes, refused)
        await self._retry(self._load_passed_over)
        return changes.outcomes.values()

    async def _load_passed_over(self) -> None:
        async with self.pool.connection() as conn:
            self.passed = await passed_over(conn)

    async def _fold(self, batch: Sequence[Received]) -> Changes:
        changes, passed = Changes(), self.passed
        for number, received in enumerate(batch, 1):
            envelope, message = received.envelope, self._decode(received)
            try:
                if envelope.sequence and passed.has(envelope.stream):
                    self.projections.apply_outcome(changes, envelope, message)
                else:
                    self.projections.apply(changes, envelope, message)
            except Exception as error:
                text = f"Expected an event that has a row, but: {error!r}"
                raise UnstorableEventError(text) from error
            if number % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
        if not self.writes_outcomes:
            changes.outcomes.clear()
        return changes

    def _decode(self, received: Received) -> msgspec.Struct:
        try:
            return self.projections.messages.decode(received.body)
        except codec.UndecodableMessageError as error:
            where = f"event '{received.envelope.id}' at {received.position}"
            message = f"Expected to apply {where}, but: {error}"
            raise error.because(message) from error

    def unknown_schema(self, received: Received) -> str | None:
        """Return the fingerprint of an event of a schema that isn't known here."""
        try:
            self._decode(received)
        except codec.UnknownSchemaError as error:
            return error.fingerprint
        return None

    async def _retry(self, action: Callable[[], Awaitable[None]]) -> None:
        """Run an action, again and again while Postgres can't be reached."""
        await retry_outages(action, "projection_delayed", self.retry_s)

    async def skip_to(self, ends: Positions) -> None:
        """Move the positions past records that are no events."""
        moved = {p: to for p, to in ends.items() if to > self.positions.get(p, 0)}
        if moved:
            await self._commit(moved, Changes())

    async def _commit(
        self, to: Positions, changes: Changes, refused: Refused | None = None
    ) -> None:
        """Write changes and move the positions, here too."""
        wanted = Commit(
            before=dict(self.positions),
            to=to,
            changes=changes,
            passed=self.passed,
            refused=refused,
        )
        await self._retry(lambda: self._write(wanted))
        self.positions |= to
        self._committed_at_s = asyncio.get_running_loop().time()

    async def _write(self, wanted: Commit) -> None:
        await commit(self.pool, wanted)

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
        names = (*projections.tables, PASSED_OVER.name, CATALOG_DELETIONS.name)
        tables = SQL(", ").join(map(Identifier, names))
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

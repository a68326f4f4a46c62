"""The reader: turns events into deliveries due, each once, however often it is read.

What follows from a batch and the position after it are one durable transaction. Its
tables are no read models: a replay or an import sends nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from domain.notifying.due import Due, Policy, late_at_us, subject_keys
from infra.clock import Clock
from infra.errors import ConflictError
from infra.eventlog.contract import Pages, Positions, Received
from infra.postgres.failures import retry_outages
from infra.postgres.pool import Pool
from infra.retry import retry_transient
from projections.views.changes import time_of
from schemas import topics
from schemas.messages.node_events import Event
from schemas.wire import codec
from workers.notifier import store
from workers.notifier.batch_fold import BatchFold, Changed, ReadEvent, is_relevant
from workers.notifier.first_start import begin, digest

log_ = structlog.get_logger(__name__)

_STORE_POSITION_S = 1.0
"""Positions after events with nothing due are stored so often."""
_LATE_MAX = 100
_LATE_S = 0.5
"""Executions that are late are looked for so often."""


class EventLog(Protocol):
    """What the reader needs of the log."""

    def tail(self, topics: Sequence[str], after: Positions, limit: int) -> Pages:
        """Follow topics from positions on, for ever; empty batches when idle."""
        ...

    async def end_positions(self, topics: Sequence[str] = ()) -> Positions:
        """Return the last position of each partition: of these topics, if any."""
        ...


@dataclass(slots=True, kw_only=True)
class Reader:
    """Reads the events of its partitions; `on_due` is called after deliveries are due.

    For metrics: `read` counts events, `due` deliveries.
    """

    log: EventLog
    pool: Pool
    policy: Policy
    clock: Clock
    batch_max: int = 1000
    max_age_s: float = 604_800.0
    on_due: Callable[[], None] = lambda: None
    read: int = 0
    due: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    _stored: dict[int, int] = field(default_factory=dict)
    _stored_s: float = 0.0
    _late_s: float = 0.0
    _rules: str = ""

    async def run(self) -> None:
        """Read events for ever, beginning where it was left."""
        await self._retry(self._begin)
        ends = await retry_transient(
            lambda: self.log.end_positions((topics.EVENTS,)),
            "read_delayed",
            clock=self.clock,
        )
        after = dict(self.positions)
        async for batch in self.log.tail((topics.EVENTS,), after, self.batch_max):
            if batch:
                await self.apply_batch(batch)
            has_reached = all(
                self.positions.get(p, 0) >= end for p, end in ends.items()
            )
            if has_reached:
                await self._take_late()

    async def apply_batch(self, batch: Sequence[Received]) -> None:
        """Store what is due because of a batch, and the positions after it."""
        to = {received.partition: received.position for received in batch}
        events = [
            ReadEvent(received=received, event=event)
            for received in batch
            if is_relevant(received) and isinstance(event := _decoded(received), Event)
        ]
        await self._retry(lambda: self._store(events, to))
        self.positions |= to
        self.read += len(batch)

    async def _store(self, events: Sequence[ReadEvent], to: Positions) -> None:
        now_s = self.clock.monotonic()
        is_soon = now_s < self._stored_s + _STORE_POSITION_S
        if not events and is_soon:
            return
        async with self.pool.connection() as conn, conn.transaction():
            stored = await store.positions(conn)
            if self._is_stored(stored, to):  # The answer of the commit was lost.
                self._stored = self.positions | dict(to)
                self.on_due()
                return
            self._check(stored)
            fold = BatchFold(
                policy=self.policy,
                known=await store.executions(conn, {read.stream for read in events}),
            )
            subjects = await store.lock_subjects(conn, fold.subject_keys(events))
            fold.fold(events, subjects)
            for event_id, error in fold.failed:
                log_.error("event_not_told_of", id=event_id, error=error)
            if fold.is_empty and is_soon:
                return
            now = time_of(self.clock.now_us())
            await store.write_executions(conn, fold.changed, fold.ended)
            await store.write_due(
                conn, fold.deliveries, fold.subjects, now, self.max_age_s
            )
            await store.move(conn, self.positions | dict(to), self._rules)
        self._stored = self.positions | dict(to)
        self._stored_s = now_s
        if fold.deliveries:
            self.due += len(fold.deliveries)
            self.on_due()

    def _is_stored(
        self, stored: Mapping[int, store.StoredPosition], to: Positions
    ) -> bool:
        wanted = self.positions | dict(to)
        found = {number: one.position for number, one in stored.items()}
        return bool(self._stored) and found == wanted != self._stored

    def _check(self, stored: Mapping[int, store.StoredPosition]) -> None:
        """Raise ConflictError if another reader moved positions."""
        for partition, position in self._stored.items():
            found = stored.get(partition)
            if found is None or found.position != position:
                raise ConflictError(
                    f"Expected to be the only reader of partition {partition} and at "
                    f"{position}, but it is at {found.position if found else 0}"
                )

    async def _begin(self) -> None:
        self._rules = digest(self.policy)
        found = await begin(self.pool, self.policy, self.clock.now_us())
        self._stored, self.positions = found, dict(found)

    async def _take_late(self) -> None:
        """Store what is due because executions are late, now and then."""
        if self.clock.monotonic() >= self._late_s:
            await self._retry(self._store_late)
            self._late_s = self.clock.monotonic() + _LATE_S

    async def _store_late(self) -> None:
        now_us = self.clock.now_us()
        async with self.pool.connection() as conn, conn.transaction():
            late = await store.late_executions(conn, time_of(now_us), _LATE_MAX)
            if not late:
                return
            keys = {k for row in late for k in subject_keys(self.policy, row.live)}
            known = await store.lock_subjects(conn, keys)
            due = Due(policy=self.policy, subjects=dict(known))
            for row in late:
                due.take_late(row.live, now_us)
            changed = {
                row.stream: Changed(
                    live=row.live,
                    partition=row.log_partition,
                    late_at_us=late_at_us(
                        self.policy, row.live, due.subjects, after_us=now_us
                    ),
                )
                for row in late
            }
            await store.write_executions(conn, changed, ())
            now = time_of(now_us)
            await store.write_due(
                conn, due.deliveries, due.changed(known), now, self.max_age_s
            )
        self.due += len(due.deliveries)
        self.on_due()

    async def _retry(self, action: Callable[[], Awaitable[None]]) -> None:
        await retry_outages(action, "notifications_delayed", clock=self.clock)


def _decoded(received: Received) -> object:
    try:
        return codec.decode(received.body)
    except codec.UndecodableMessageError as error:
        log_.warning("event_not_read", id=received.envelope.id, error=str(error))
        return None

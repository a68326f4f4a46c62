"""A projector among several: each applies the partitions that are assigned to it.

Positions are stored with the read models, in the transaction that applies the events.
Two projectors may have a partition at once, while it is reassigned: only one of them
can move its position, the other one loads it again.

A partition whose next event a newer version wrote is held: the others go on. Once a
process runs that can read it, this one leaves the group for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import ConflictError, GivenUpError, TransientError
from infra.eventlog.contract import PartitionAssignment, Positions, Received
from infra.held_messages import CHECK_S, HeldMessages
from infra.newer_messages import NOTHING_NEWER, NewerMessages
from infra.outages import Attempts
from infra.retry import retry_transient
from projections.projector.commit import ReadModelsMovedError
from projections.projector.projector import Projector
from schemas import topics
from schemas.wire.codec import UnknownSchemaError

log_ = structlog.get_logger(__name__)

REJOIN_S = 1.0


class PartitionedLog(Protocol):
    """What a partitioned projector needs of the log."""

    def join_group(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[PartitionAssignment]:
        """Join a group, and read the partitions that are assigned to this member."""
        ...


@dataclass(slots=True)
class PartitionedProjector:
    """Applies the events of the partitions that are assigned to this process."""

    log: PartitionedLog
    projector: Projector
    newer: NewerMessages = NOTHING_NEWER
    given_up_s: float = 30.0
    clock: Clock = SYSTEM_CLOCK
    held: dict[int, HeldMessages] = field(default_factory=dict)
    _checked_s: float = 0.0
    _told: frozenset[int] | None = None

    async def run(self) -> None:
        """Apply events for ever; raises UndecodableMessageError for unknown ones.

        A group that can't be reached is joined again.
        """
        attempts = Attempts("group_membership_lost", clock=self.clock)
        while True:
            try:
                await self._run_as_member(attempts)
            except GivenUpError as error:
                log_.warning("partition_given_up", why=str(error))
                await self.clock.sleep(self.given_up_s)
            except TransientError as error:
                attempts.failed(error)
                await self.clock.sleep(REJOIN_S)

    async def _run_as_member(self, attempts: Attempts) -> None:
        group, topic = topics.PROJECTOR_GROUP, topics.EVENTS
        async with self.log.join_group(group, topic) as assignment:
            attempts.worked()
            while True:
                try:
                    await self._follow(assignment)
                except (ReadModelsMovedError, ConflictError) as error:
                    log_.warning("read_models_moved", error=str(error))

    async def _follow(self, assignment: PartitionAssignment) -> None:
        """Apply events from the stored positions on, until a reassignment."""
        projector, partitions = self.projector, await assignment.partitions()
        projector.partitions = partitions
        self.held.clear()
        await projector.load()
        stored = {number: projector.positions.get(number, 0) for number in partitions}
        await retry_transient(lambda: assignment.begin(stored), "read_delayed")
        if partitions != self._told:
            self._told = partitions
            log_.info("partitions_assigned", partitions=sorted(partitions))
        while not assignment.is_reassigned():
            await self._step(assignment)
            if self.held:
                await self._check_held()

    async def _step(self, assignment: PartitionAssignment) -> None:
        projector = self.projector
        batch = await retry_transient(
            lambda: assignment.read(projector.batch_max), "read_delayed"
        )
        reached = await retry_transient(assignment.reached, "read_delayed")
        batch = self._not_applied(batch)
        if self.held:
            reached = {p: to for p, to in reached.items() if p not in self.held}
        if batch:
            ends = {number: reached[number] for number in {r.partition for r in batch}}
            try:
                await projector.apply_batch(batch, ends)
            except UnknownSchemaError as error:
                await self._apply_readable(batch, ends, error)
        else:
            await projector.skip_to(reached)
            await projector.check_last_commits()
        await projector.trim_outcomes()

    def _not_applied(self, batch: Sequence[Received]) -> Sequence[Received]:
        applied: Positions = self.projector.positions
        return [
            r
            for r in batch
            if r.position > applied.get(r.partition, 0) and r.partition not in self.held
        ]

    async def _apply_readable(
        self, batch: Sequence[Received], ends: Positions, error: UnknownSchemaError
    ) -> None:
        """Apply what comes before messages of newer versions; hold their partitions.

        Raises the error if it is about something else.
        """
        stops: dict[int, int] = {}
        for received in batch:
            number = received.partition
            fingerprint = self.projector.unknown_schema(received)
            if fingerprint is None or number in stops:
                continue
            held = HeldMessages(newer=self.newer, clock=self.clock)
            if not await held.takes(fingerprint):
                raise error
            self.held[number], stops[number] = held, received.position
        left = [r for r in batch if r.position < stops.get(r.partition, r.position + 1)]
        self.projector.stopped, self._checked_s = "", 0.0
        to = {n: end for n, end in ends.items() if n not in stops}
        to |= {r.partition: r.position for r in left if r.partition in stops}
        if left:
            await self.projector.apply_batch(left, to)

    async def _check_held(self) -> None:
        """Say now and then what is held; raises GivenUpError if it can be read."""
        if self.clock.monotonic() < self._checked_s:
            return
        self._checked_s = self.clock.monotonic() + CHECK_S
        for number, held in self.held.items():
            await held.give_up(topics.EVENTS, number)

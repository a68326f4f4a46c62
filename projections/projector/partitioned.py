"""A projector among several: each applies the partitions that are assigned to it.

Positions are stored with the read models, in the transaction that applies the events.
Two projectors may have a partition at once, while it is reassigned: only one of them
can move its position, the other one loads it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog

from infra.errors import ConflictError
from infra.eventlog.contract import PartitionAssignment, Positions, Received
from infra.retry import retry_transient
from projections.projector.commit import ReadModelsMovedError
from projections.projector.projector import Projector
from schemas import topics

log_ = structlog.get_logger(__name__)


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
    _told: frozenset[int] | None = None

    async def run(self) -> None:
        """Apply events for ever; raises UndecodableMessageError for unknown ones."""
        group, topic = topics.PROJECTOR_GROUP, topics.EVENTS
        async with self.log.join_group(group, topic) as assignment:
            while True:
                try:
                    await self._follow(assignment)
                except (ReadModelsMovedError, ConflictError) as error:
                    log_.warning("read_models_moved", error=str(error))

    async def _follow(self, assignment: PartitionAssignment) -> None:
        """Apply events from the stored positions on, until a reassignment."""
        projector, partitions = self.projector, await assignment.partitions()
        projector.partitions = partitions
        await projector.load()
        stored = {number: projector.positions.get(number, 0) for number in partitions}
        await retry_transient(lambda: assignment.begin(stored), "read_delayed")
        if partitions != self._told:
            self._told = partitions
            log_.info("partitions_assigned", partitions=sorted(partitions))
        while not assignment.is_reassigned():
            await self._step(assignment)

    async def _step(self, assignment: PartitionAssignment) -> None:
        projector = self.projector
        batch = await retry_transient(
            lambda: assignment.read(projector.batch_max), "read_delayed"
        )
        reached = await retry_transient(assignment.reached, "read_delayed")
        batch = self._not_applied(batch)
        if batch:
            ends = {number: reached[number] for number in {r.partition for r in batch}}
            await projector.apply_batch(batch, ends)
        else:
            await projector.skip_to(reached)
            await projector.check_last_commits()
        await projector.trim_outcomes()

    def _not_applied(self, batch: Sequence[Received]) -> Sequence[Received]:
        applied: Positions = self.projector.positions
        return [r for r in batch if r.position > applied.get(r.partition, 0)]

"""A projector among several: each applies the partitions that fall to it.

Positions are the views' own, in the transaction of what they count. Two that hold a
partition at once, while it changes hands, can't both move it: the slower looks anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog

from infra.errors import ConflictError
from infra.eventlog.contract import PartitionAssignment, Received
from infra.retry import retry_transient
from projections.projector.projector import Projector, ReadModelsWentBackError
from schemas import topics

log_ = structlog.get_logger(__name__)


class PartitionedLog(Protocol):
    """What a shared projector asks of the log."""

    def join_group(
        self, group: str, topic: str
    ) -> AbstractAsyncContextManager[PartitionAssignment]:
        """Read what falls to this process, as one of a group."""
        ...


@dataclass(slots=True)
class PartitionedProjector:
    """Applies the events of the partitions that fall to this process."""

    log: PartitionedLog
    projector: Projector

    async def run(self) -> None:
        """Apply events for ever; raises UndecodableMessage for one it can't read."""
        async with self.log.join_group(topics.PROJECTOR_GROUP, topics.EVENTS) as share:
            while True:
                try:
                    await self._follow(share)
                except (ReadModelsWentBackError, ConflictError) as error:
                    log_.warning("read_models_moved", error=str(error))

    async def _follow(self, share: PartitionAssignment) -> None:
        """Go on from what the views have, until other partitions are dealt."""
        projector, ours = self.projector, await share.partitions()
        projector.only = ours
        await projector.load()
        kept = {number: projector.positions.get(number, 0) for number in ours}
        await retry_transient(lambda: share.begin(kept), "read_delayed")
        log_.info("partitions_assigned", partitions=sorted(ours))
        while not share.is_reassigned():
            await self._step(share)

    async def _step(self, share: PartitionAssignment) -> None:
        projector = self.projector
        batch = await retry_transient(
            lambda: share.read(projector.batch_max), "read_delayed"
        )
        reached = await retry_transient(share.reached, "read_delayed")
        batch = self._new(batch)
        if batch:
            ends = {number: reached[number] for number in {r.partition for r in batch}}
            await projector.take(batch, ends)
        else:
            await projector.pass_by(reached)
            await projector.prove()
        await projector.trim()

    def _new(self, batch: Sequence[Received]) -> Sequence[Received]:
        kept: Mapping[int, int] = self.projector.positions
        return [r for r in batch if r.position > kept.get(r.partition, 0)]

"""What the log says about attempts whose dispatches may have been read before."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial

from infra.clock import Clock
from infra.eventlog.contract import Log, Received
from infra.retry import retry_transient
from schemas import topics
from workers.runner.attempts import AttemptTracker
from workers.runner.reports import abort_of_dispatch, reported_dispatch

_BATCH = 1000


@dataclass(slots=True)
class AttemptHistory:
    """Reads aborts and reports that follow the first dispatch of each partition.

    An earlier incarnation, or another member of the group, may have read the same
    dispatches. An attempt that it reported on has ended, or will be dispatched again,
    because its lease belongs to the other. Of the reports only those on attempts whose
    dispatches are still to be read are kept.
    """

    log: Log
    clock: Clock
    attempts: AttemptTracker
    _read: set[int] = field(default_factory=set)

    def reset(self) -> None:
        """Read again for every partition: partitions were reassigned."""
        self._read.clear()
        self.attempts.forget_reported()

    async def read_before(self, batch: Sequence[Received]) -> None:
        """Note aborts and reports, for partitions whose first dispatches these are."""
        oldest = {received.partition: received for received in reversed(batch)}
        unread = [r for p, r in oldest.items() if p not in self._read]
        reads = [
            partial(read, first)
            for first in unread
            for read in (self._read_aborts, self._read_reports)
        ]
        await asyncio.gather(
            *(retry_transient(r, "start_delayed", clock=self.clock) for r in reads)
        )
        self._read |= {first.partition for first in unread}

    async def _read_aborts(self, first: Received) -> None:
        after = await self.log.positions_before(first, topics.ABORTS)
        async for batch in self.log.read_to_end(topics.ABORTS, after, _BATCH):
            for received in batch:
                if abort_of_dispatch(received) is None:
                    self.attempts.mark_aborted(received.key)

    async def _read_reports(self, first: Received) -> None:
        """Note reports on the dispatches from the first one on.

        Later dispatches were read by nobody else: the partition is assigned to this
        runner.
        """
        unread = await self._unread_attempts(first)
        after = await self.log.positions_before(first, topics.COMMANDS)
        async for batch in self.log.read_to_end(topics.COMMANDS, after, _BATCH):
            for received in batch:
                dispatch = reported_dispatch(received)
                if dispatch is not None and dispatch[0] in unread:
                    self.attempts.mark_reported(*dispatch)

    async def _unread_attempts(self, first: Received) -> Collection[str]:
        """Return the attempts whose dispatches are still to be read."""
        number = first.partition
        pages = self.log.read_to_end(
            topics.DISPATCHES, {number: first.position - 1}, _BATCH, number
        )
        return {received.key async for page in pages for received in page}

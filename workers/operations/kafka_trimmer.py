"""Trimming on Kafka: messages that every reader has passed are deleted after a while.

The broker deletes none of them by itself: a reader that was stopped for longer than any
retention finds what it hasn't read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from infra.clock import Clock
from infra.errors import InfraError, TransientError
from infra.eventlog.contract import Pages, Positions
from infra.outages import log_failure
from schemas import topics

log_ = structlog.get_logger(__name__)

_SECOND_US = 1_000_000
_LOOK_BACK_US = 60 * _SECOND_US
"""A runner looks for aborts and reports from before the first dispatch that it reads,
by as much as clocks may differ; this is more."""


class TrimmedLog(Protocol):
    """What trimming needs of a log."""

    async def positions(self, group: str, topic: str) -> Positions:
        """Return a group's stored positions; 0 where it has none."""
        ...

    async def since(self, topic: str, at_us: int) -> Positions:
        """Return positions before all that was appended from a time on."""
        ...

    def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield what is on a topic after positions."""
        ...

    async def delete_before(self, topic: str, positions: Positions) -> None:
        """Delete the messages up to positions."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaTrimmer:
    """Deletes handled commands, dispatches and aborts that are older than an age.

    Several processes may do so at once: what is deleted already stays deleted.
    """

    log: TrimmedLog
    clock: Clock
    retention_s: float
    interval_s: float

    async def run(self) -> None:
        """Trim periodically, without end."""
        while True:
            await self.clock.sleep(self.interval_s)
            try:
                await self.trim()
            except TransientError as error:
                log_failure("log_not_trimmed", error)
            except InfraError as error:
                log_.warning("log_not_trimmed", error=str(error))

    async def trim(self) -> Mapping[str, Positions]:
        """Delete what every reader has passed; return the positions up to which."""
        before_us = self.clock.now_us() - round(self.retention_s * _SECOND_US)
        handled = await self.log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
        executed = await self.log.positions(topics.RUNNER_GROUP, topics.DISPATCHES)
        old = await self.log.since(topics.DISPATCHES, before_us)
        found: dict[str, Positions] = {topics.DISPATCHES: _lower(executed, old)}
        if not await self._has_unread(executed, old):
            # Runners still to come look no further back than the dispatches do.
            look_back_us = before_us - _LOOK_BACK_US
            commands = await self.log.since(topics.COMMANDS, look_back_us)
            found[topics.COMMANDS] = _lower(handled, commands)
            found[topics.ABORTS] = await self.log.since(topics.ABORTS, look_back_us)
        for topic, positions in found.items():
            await self.log.delete_before(topic, positions)
        return found

    async def _has_unread(self, executed: Positions, old: Positions) -> bool:
        """Return whether a dispatch among the old ones hasn't been passed yet.

        Beyond the last one there may be markers of commits, which nobody reads.
        """
        for number, end in old.items():
            if executed.get(number, 0) >= end:
                continue
            pages = self.log.read_to_end(topics.DISPATCHES, executed, 1, number)
            async for page in pages:
                if page[0].position <= end:
                    return True
                break
        return False


def _lower(positions: Positions, others: Positions) -> Positions:
    return {n: min(position, others.get(n, 0)) for n, position in positions.items()}

"""Partitions assigned to a propeller process: a propeller for each, while owned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from infra.clock import SYSTEM_CLOCK, Clock
from infra.eventlog.contract import Log, OwnedPartition
from schemas import topics
from schemas.wire.codec import UnknownSchemaError
from workers.propeller.loop import Propeller

log_ = structlog.get_logger(__name__)

Make = Callable[[], Propeller]
Restore = Callable[[OwnedPartition, Propeller], Awaitable[None]]


@dataclass(slots=True)
class Partitions:
    """Serves owned partitions, each with streams, leases and timers of its own.

    They are made when a partition is assigned, restored before its first command, and
    dropped when it is revoked: its next owner reads them from the log.
    """

    log: Log
    make: Make
    restore: Restore
    clock: Clock = SYSTEM_CLOCK
    served: dict[int, Propeller] = field(default_factory=dict)
    _handled: int = 0
    _dropped: int = 0
    _dead_letters: int = 0
    _holding: set[int] = field(default_factory=set)

    async def run(self, stop: asyncio.Event) -> None:
        """Handle commands until `stop`; ends by an error if the log is fenced."""
        await self.log.own(topics.PROPELLER_GROUP, topics.COMMANDS, self.serve, stop)

    async def serve(self, partition: OwnedPartition, stop: asyncio.Event) -> None:
        """Restore a partition and handle its commands until `stop`."""
        propeller = self.make()
        try:
            await self._serve(partition, propeller, stop)
        except UnknownSchemaError as error:
            if not await propeller.held.takes(error.fingerprint):
                raise
            self._holding.add(partition.number)
            try:
                await propeller.held.wait(topics.EVENTS, partition.number, stop)
            finally:
                self._holding.discard(partition.number)

    async def _serve(
        self, partition: OwnedPartition, propeller: Propeller, stop: asyncio.Event
    ) -> None:
        began = self.clock.monotonic()
        await self.restore(partition, propeller)
        log_.info(
            "partition_restored",
            partition=partition.number,
            active=len(propeller.streams),
            took_s=round(self.clock.monotonic() - began, 3),
        )
        self.served[partition.number] = propeller
        try:
            await propeller.serve(partition, stop)
        finally:
            if self.served.get(partition.number) is propeller:
                del self.served[partition.number]
            self._handled += propeller.handler.handled
            self._dropped += propeller.handler.dropped
            self._dead_letters += propeller.dead_letters

    @property
    def held(self) -> int:
        """Return how many partitions wait with what only a newer version can read."""
        served = self.served.values()
        return len(self._holding) + sum(p.held.message is not None for p in served)

    @property
    def handled(self) -> int:
        """Return how many commands were handled since the start."""
        return self._handled + sum(p.handler.handled for p in self.served.values())

    @property
    def dropped(self) -> int:
        """Return how many commands without a waiting sender yielded no events."""
        return self._dropped + sum(p.handler.dropped for p in self.served.values())

    @property
    def dead_letters(self) -> int:
        """Return how many commands became dead letters since the start."""
        return self._dead_letters + sum(p.dead_letters for p in self.served.values())

    @property
    def parked(self) -> int:
        """Return how many active streams are parked on the partitions owned now."""
        return sum(p.streams.parked for p in self.served.values())

    @property
    def active(self) -> int:
        """Return how many streams are active on the partitions owned now."""
        return sum(len(p.streams) for p in self.served.values())

"""A member of a consumer group on Kafka, with positions that the broker stores."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from infra.clock import SYSTEM_CLOCK
from infra.errors import PositionLostError, TransientError
from infra.eventlog.contract import Positions, Received, Release
from infra.eventlog.kafka.clients import (
    call,
    close_client,
    fetch,
    new_group_member,
    unreachable,
)
from infra.eventlog.kafka.partition_owner import AssignmentListener
from infra.eventlog.kafka.stored_positions import (
    RECHECK_S,
    StoppedPartitions,
    extent_of,
    start_position,
)
from infra.eventlog.kafka.watermarks import Watermarks
from infra.outages import Attempts
from infra.setting_sections.storage import KafkaSettings

log_ = structlog.get_logger(__name__)

_CONFIRM_RETRY_S = 0.1


class KafkaConsumer:
    """Reads at least once: an assignment may deliver messages again.

    `generation` shows such an assignment to the reader. A partition whose stored
    position is lost is not read before an operator accepts that.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: str,
        poll_s: float,
        release: Release | None = None,
        stopped: StoppedPartitions | None = None,
    ) -> None:
        """Prepare; `open` joins the group."""
        self._name = topic
        self._stopped = StoppedPartitions() if stopped is None else stopped
        self._unchecked: frozenset[TopicPartition] = frozenset()
        self._lost: set[TopicPartition] = set()
        self._check_at_s = 0.0
        self._watermarks = Watermarks(settings)
        self._prefix = settings.prefix
        self._topic = settings.prefix + topic
        self._poll_ms = round(poll_s * 1000)
        self._generation = 0
        self._committed: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._confirmed_s = -math.inf
        self._confirm_s = settings.session_timeout_s / 2
        self._confirming = asyncio.Lock()
        self._confirmations = Attempts("membership_not_confirmed")
        self._member: AIOKafkaConsumer = new_group_member(
            settings, group, skips_deleted=False
        )
        self._release = release
        self._release_s = settings.revoke_timeout_s
        listener = AssignmentListener(self._on_assigned, self._on_revoked)
        self._member.subscribe([self._topic], listener=listener)

    @property
    def generation(self) -> int:
        """Return how often partitions were released by this reader, or assigned."""
        return self._generation

    def _on_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._generation += 1
        self._committed.clear()
        self._first.clear()
        self._unchecked = frozenset(assigned)
        self._lost.clear()
        self._stopped.forget(self._name)

    async def _on_revoked(self) -> None:
        """Let the reader release its partitions, for a while."""
        self._generation += 1
        if self._release is None:
            return
        try:
            async with asyncio.timeout(self._release_s):
                await self._release(self)
        except TimeoutError:
            log_.warning("partitions_not_released", topic=self._topic)

    async def open(self) -> None:
        """Join the group; raises TransientError."""
        try:
            await self._watermarks.open()
            await call(self._member.start())
        except TransientError:
            await self.close()
            raise

    async def close(self) -> None:
        """Leave the group."""
        await close_client(self._member)
        await self._watermarks.close()

    async def read(self, limit: int) -> Sequence[Received]:
        """Return the next messages; none if no new one arrives in time.

        Messages that were fetched while partitions were assigned again are read again:
        they may be of partitions that another member has now. A partition without a
        usable position delivers none, but an error.
        """
        if self._lost and SYSTEM_CLOCK.monotonic() >= self._check_at_s:
            self._unchecked |= self._lost
        generation = self._generation
        if self._unchecked:
            await self._check_positions()
        try:
            found = await fetch(
                self._member, wait_ms=self._poll_ms, limit=limit, prefix=self._prefix
            )
        except PositionLostError:
            self._unchecked = frozenset(self._member.assignment())
            return ()
        if self._generation == generation:
            for received in found:
                self._first.setdefault(received.partition, received.position - 1)
            return found
        self._rewind(found)
        return ()

    def _rewind(self, found: Sequence[Received]) -> None:
        """Read messages again whose partitions are still assigned."""
        firsts = {received.partition: received for received in reversed(found)}
        assigned = self._member.assignment()
        for number, first in firsts.items():
            at = TopicPartition(self._topic, number)
            if at in assigned:
                self._member.seek(at, first.position - 1)

    async def _check_positions(self) -> None:
        """Find partitions whose position is lost, and those that go on."""
        generation, unchecked = self._generation, self._unchecked
        self._check_at_s = SYSTEM_CLOCK.monotonic() + RECHECK_S
        for at in unchecked:
            try:
                await self._check_position(at)
            except (CommitFailedError, IllegalStateError):
                return  # assigned to another: the next assignment is checked
            except (KafkaError, OSError) as error:
                raise unreachable(error) from error
        if generation == self._generation:
            self._unchecked = frozenset()

    async def _check_position(self, at: TopicPartition) -> None:
        """Read a partition on, or pause it; a new group commits where it begins."""
        stored = await self._member.committed(at)
        # Not by the member: its fetches would hold up the answer.
        extent = await extent_of(self._watermarks.consumer, at, stored)
        try:
            position = start_position(at, stored, extent)
        except PositionLostError as error:
            self._stopped.stop(self._name, at.partition, error)
            self._lost.add(at)
            self._member.pause(at)
            self._member.seek(at, extent.end)
            return
        if stored is None:
            await self._member.commit({at: position})
            self._member.seek(at, position)
        if at in self._lost:
            self._lost.discard(at)
            self._stopped.resume(self._name, at.partition)
            self._member.seek(at, position)
            self._member.resume(at)

    async def commit(self, positions: Positions) -> None:
        """Store positions of assigned partitions; older ones change nothing."""
        assigned = {at.partition for at in self._member.assignment()}
        newer = {
            TopicPartition(self._topic, number): position
            for number, position in positions.items()
            if number in assigned and position > self._committed.get(number, 0)
        }
        if newer and await self._commit(newer):
            self._committed |= {at.partition: to for at, to in newer.items()}

    async def _commit(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Store positions; False if partitions are assigned to another by now."""
        sent_s = asyncio.get_running_loop().time()
        try:
            await self._member.commit(dict(positions))
        except (CommitFailedError, IllegalStateError):
            await asyncio.sleep(0)  # another commits its own positions
            return False
        except (KafkaError, OSError) as error:
            raise unreachable(error) from error
        self._confirmed_s = sent_s
        return True

    async def confirm(self) -> None:
        """Return once it is certain that no other member has these partitions.

        The group takes a position, the same as before, from its members only. Who isn't
        one joins again by itself, and releases its partitions on the way.
        """
        loop = asyncio.get_running_loop()
        async with self._confirming:
            while loop.time() - self._confirmed_s > self._confirm_s:
                known = {**self._first, **self._committed}
                assigned = self._member.assignment()
                at = {TopicPartition(self._topic, n): to for n, to in known.items()}
                at = {one: to for one, to in at.items() if one in assigned}
                if not at or not await self._is_confirmed(at):
                    await asyncio.sleep(_CONFIRM_RETRY_S)

    async def _is_confirmed(self, positions: Mapping[TopicPartition, int]) -> bool:
        try:
            is_confirmed = await self._commit(positions)
        except TransientError as error:
            self._confirmations.failed(error)
            return False
        self._confirmations.worked()
        return is_confirmed

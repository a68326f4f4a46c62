"""Owning partitions on Kafka: the group assigns them; each is fenced, served, released.

The group's consumer serves membership only; each partition has a reader of its own. A
partition that stays assigned over a rebalance is served on: if another member had got
it meanwhile, that member would have fenced this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import KafkaError

from infra.errors import (
    FencedError,
    GivenUpError,
    PositionLostError,
    TransientError,
)
from infra.eventlog.contract import Serve
from infra.eventlog.kafka.clients import (
    close_client,
    new_group_member,
    partitions_of,
    unreachable,
)
from infra.eventlog.kafka.owned_partition import KafkaPartition
from infra.eventlog.kafka.stored_positions import RECHECK_S, StoppedPartitions
from infra.eventlog.kafka.stray_partition import StrayPartition
from infra.outages import Attempts
from infra.retry import retry_transient, uncancelled
from infra.setting_sections.storage import KafkaSettings

log_ = structlog.get_logger(__name__)

_POLL_MS = 200
_REJOIN_S = 1.0
_REVOKE_WAIT_S = 1.0
"""A new owner may fence this process before the group reports the revocation: that is
waited for so long, as to join again would cause another rebalance."""


@dataclass(slots=True, eq=False)
class _Serving:
    """A partition that is served."""

    stop: asyncio.Event
    task: asyncio.Task[None]


class AssignmentListener(ConsumerRebalanceListener):
    """Reports assigned partitions to a function, and revoked ones to another."""

    def __init__(
        self,
        on_assigned: Callable[[Iterable[TopicPartition]], None],
        on_revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Call `on_assigned` with all partitions that are assigned from then on.

        `on_revoked` is awaited before the group assigns the partitions again. Without
        it, what is lost is missing from the next assignment.
        """
        self._on_assigned = on_assigned
        self._on_revoked = on_revoked

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Report that partitions are about to be lost, if there were any."""
        if self._on_revoked is not None and tuple(revoked):
            await self._on_revoked()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Report the assignment."""
        self._on_assigned(assigned)


class KafkaPartitionOwner:
    """Serves the partitions of one topic that are assigned to a member of a group."""

    def __init__(
        self,
        settings: KafkaSettings,
        group: str,
        topic: str,
        poll_s: float,
        stopped: StoppedPartitions | None = None,
    ) -> None:
        """Prepare; `run` joins the group."""
        self._stopped = StoppedPartitions() if stopped is None else stopped
        self._settings = settings
        self._group = group
        self._topic = topic
        self._poll_s = poll_s
        self._served: dict[TopicPartition, _Serving] = {}
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._lost = asyncio.Event()
        self._away_s = _REJOIN_S

    async def run(self, serve: Serve, stop: asyncio.Event) -> None:
        """Serve until `stop`; joins again after a partition was lost to another."""
        attempts = Attempts("group_membership_lost")
        while not stop.is_set():
            self._lost.clear()
            self._away_s = _REJOIN_S
            try:
                await self._serve_as_member(serve, stop, attempts)
            except TransientError as error:
                attempts.failed(error)
            except (KafkaError, OSError) as error:
                attempts.failed(unreachable(error))
            finally:
                await self._release(list(self._served))
            if not stop.is_set():
                await _wait(stop.wait(), timeout_s=self._away_s)

    async def _serve_as_member(
        self, serve: Serve, stop: asyncio.Event, attempts: Attempts
    ) -> None:
        member: AIOKafkaConsumer = new_group_member(self._settings, self._group)

        def on_assigned(assigned: Iterable[TopicPartition]) -> None:
            self._assigned = frozenset(assigned)
            member.pause(*self._assigned)

        self._assigned = frozenset()
        member.subscribe(
            [self._settings.prefix + self._topic],
            listener=AssignmentListener(on_assigned),
        )
        try:
            await member.start()
            attempts.worked()
            while not (stop.is_set() or self._lost.is_set()):
                await member.getmany(timeout_ms=_POLL_MS)  # keeps up the membership
                await self._reconcile(serve)
        finally:
            await self._release(list(self._served))
            await close_client(member)

    async def _reconcile(self, serve: Serve) -> None:
        """Serve what is assigned, and release what isn't any more."""
        await self._release([at for at in self._served if at not in self._assigned])
        for at in sorted(self._assigned):
            if at not in self._served:
                stop = asyncio.Event()
                task = asyncio.create_task(uncancelled(self._serve(at, serve, stop)))
                self._served[at] = _Serving(stop, task)
        for served in self._served.values():
            if served.task.done():
                await served.task

    async def _serve(
        self, at: TopicPartition, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve a partition; if its position is lost, once that was accepted."""
        try:
            while not stop.is_set():
                try:
                    await self._serve_opened(at, serve, stop)
                except PositionLostError as error:
                    self._stopped.stop(self._topic, at.partition, error)
                    await _wait(stop.wait(), timeout_s=RECHECK_S)
                else:
                    return
        finally:
            self._stopped.forget(self._topic, at.partition)

    async def _serve_opened(
        self, at: TopicPartition, serve: Serve, stop: asyncio.Event
    ) -> None:
        opened: KafkaPartition | None = None
        try:
            opened = await retry_transient(
                lambda: self._open(at), "partition_open_delayed"
            )
            if opened.lost is not None:
                raise opened.lost
            self._stopped.resume(self._topic, at.partition)
            log_.info("partition_owned", partition=at.partition, group=self._group)
            await serve(opened, stop)
        except GivenUpError as error:
            log_.warning("partition_given_up", partition=at.partition, why=str(error))
            self._away_s = self._settings.given_up_s
            self._lost.set()
        except FencedError as error:
            log_.warning("partition_lost", partition=at.partition, error=str(error))
            await _wait(stop.wait(), timeout_s=_REVOKE_WAIT_S)
            if not stop.is_set():
                self._lost.set()
        finally:
            if opened is not None:
                await opened.close()

    async def _open(self, at: TopicPartition) -> KafkaPartition:
        kind = KafkaPartition
        if at.partition >= partitions_of(self._topic, self._settings):
            log_.warning(
                "partition_not_configured",
                topic=at.topic,
                partition=at.partition,
                why="records on it are dead letters: were partitions added?",
            )
            kind = StrayPartition
        partition = kind(self._settings, self._group, at, self._poll_s)
        try:
            await partition.open()
        except BaseException:
            await partition.close()
            raise
        return partition

    async def _release(self, partitions: list[TopicPartition]) -> None:
        """Ask partitions to finish; those that aren't done in time are cancelled."""
        revoked = [self._served.pop(at) for at in partitions]
        if not revoked:
            return
        for served in revoked:
            served.stop.set()
        tasks = [served.task for served in revoked]
        timeout_s = self._settings.revoke_timeout_s
        _, late = await asyncio.wait(tasks, timeout=timeout_s)
        for task in late:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


async def _wait(event: Awaitable[Literal[True]], *, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event
    except TimeoutError:
        return

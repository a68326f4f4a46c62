"""Owning on Kafka: the group deals partitions, each is fenced, served and let go.

The group's consumer serves membership alone; each partition has a reader of its own.
A partition that stays ours when the group deals anew is served on: whoever got it
meanwhile would have fenced us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from infra.errors import FencedError, TransientError
from infra.eventlog.contract import Serve
from infra.eventlog.kafka.clients import new_group_member
from infra.eventlog.kafka.owned_partition import KafkaPartition
from infra.retry import retry_transient
from infra.setting_sections import KafkaSettings

log_ = structlog.get_logger(__name__)

_LOOK_MS = 200
_REJOIN_S = 1.0
_NEWS_S = 1.0
"""Whoever got a partition may fence us before the group tells that it isn't ours: for
so long that is waited for, as joining anew would have all partitions dealt again."""


@dataclass(slots=True, eq=False)
class _Served:
    """One partition being served."""

    stop: asyncio.Event
    task: asyncio.Task[None]


class AssignmentListener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells what the group has dealt to us; never does work of its own."""

    def __init__(self, assigned: Callable[[Iterable[Any]], None]) -> None:
        """Tell `assigned` of all partitions that are ours from then on."""
        self._assigned = assigned

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Do nothing: what is really lost is not assigned again."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Pass it on."""
        self._assigned(assigned)


class KafkaPartitionOwner:
    """Serves the partitions of one topic that fall to one member of a group."""

    def __init__(
        self, settings: KafkaSettings, group: str, topic: str, poll_s: float
    ) -> None:
        """Prepare; `run` joins the group."""
        self._settings = settings
        self._group = group
        self._topic = topic
        self._poll_s = poll_s
        self._served: dict[TopicPartition, _Served] = {}
        self._ours: frozenset[TopicPartition] = frozenset()
        self._lost = asyncio.Event()

    async def run(self, serve: Serve, stop: asyncio.Event) -> None:
        """Serve until `stop`; joins anew after a partition was lost to another."""
        while not stop.is_set():
            self._lost.clear()
            try:
                await self._member(serve, stop)
            except (KafkaError, OSError, TransientError) as error:
                log_.warning(
                    "group_membership_lost", group=self._group, error=repr(error)
                )
            finally:
                await self._let_go(list(self._served))
            if not stop.is_set():
                await _any_of(stop.wait(), timeout_s=_REJOIN_S)

    async def _member(self, serve: Serve, stop: asyncio.Event) -> None:
        member: AIOKafkaConsumer = new_group_member(self._settings, self._group)

        def dealt(assigned: Iterable[TopicPartition]) -> None:
            self._ours = frozenset(assigned)
            member.pause(*self._ours)

        self._ours = frozenset()
        member.subscribe(
            [self._settings.prefix + self._topic], listener=AssignmentListener(dealt)
        )
        try:
            await member.start()
            while not (stop.is_set() or self._lost.is_set()):
                await member.getmany(timeout_ms=_LOOK_MS)  # tells that it lives
                await self._follow(serve)
        finally:
            await self._let_go(list(self._served))
            await member.stop()

    async def _follow(self, serve: Serve) -> None:
        """Bring what is served in line with what is ours."""
        await self._let_go([at for at in self._served if at not in self._ours])
        for at in self._ours:
            if at not in self._served:
                stop = asyncio.Event()
                task = asyncio.create_task(self._serve(at, serve, stop))
                self._served[at] = _Served(stop, task)
        for served in self._served.values():
            if served.task.done():
                await served.task

    async def _serve(
        self, at: TopicPartition, serve: Serve, stop: asyncio.Event
    ) -> None:
        opened = await retry_transient(lambda: self._open(at), "partition_open_delayed")
        log_.info("partition_owned", partition=at.partition, group=self._group)
        try:
            await serve(opened, stop)
        except FencedError as error:
            log_.warning("partition_lost", partition=at.partition, error=str(error))
            await _any_of(stop.wait(), timeout_s=_NEWS_S)
            if not stop.is_set():
                self._lost.set()
        finally:
            await opened.close()

    async def _open(self, at: TopicPartition) -> KafkaPartition:
        partition = KafkaPartition(self._settings, self._group, at, self._poll_s)
        try:
            await partition.open()
        except BaseException:
            await partition.close()
            raise
        return partition

    async def _let_go(self, partitions: list[TopicPartition]) -> None:
        """Ask each to finish; who overstays is cancelled."""
        gone = [self._served.pop(at) for at in partitions]
        if not gone:
            return
        for served in gone:
            served.stop.set()
        tasks = [served.task for served in gone]
        _, late = await asyncio.wait(tasks, timeout=self._settings.revoke_timeout_s)
        for task in late:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


async def _any_of(waiting: Awaitable[Any], *, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await waiting
    except TimeoutError:
        return

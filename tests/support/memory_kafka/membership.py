"""A consumer's place in its group: joins, sends heartbeats, joins again when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from tests.support.memory_kafka.broker import Broker
from tests.support.memory_kafka.calls import call
from tests.support.memory_kafka.groups import FencedInstanceIdError

_JOIN_AGAIN = (RebalanceInProgressError, IllegalGenerationError, UnknownMemberIdError)


class Membership:
    """One member of a group, kept up in the background as aiokafka does it."""

    session_s = 10.0
    heartbeat_s = 3.0
    metadata_s = 300.0
    topics: frozenset[str] = frozenset()
    listener: ConsumerRebalanceListener | None = None

    def __init__(
        self,
        broker: Broker,
        group: str,
        instance: str | None,
        on_assigned: Callable[[frozenset[TopicPartition]], None],
    ) -> None:
        """Prepare; `begin` joins."""
        self.is_joining = True
        self._broker = broker
        self._group = broker.group(group)
        self._instance = instance
        self._on_assigned = on_assigned
        self._member, self._generation = "", 0
        self._joined = asyncio.Event()
        self._assigned: frozenset[TopicPartition] = frozenset()
        self._task: asyncio.Task[None] | None = None
        self._error: KafkaError | None = None
        self._news: dict[asyncio.Future[None], None] = {}

    def begin(self) -> None:
        """Join, and stay."""
        self._task = asyncio.create_task(self._keep_up())

    async def wait(self) -> None:
        """Return once partitions were assigned, or the membership has ended."""
        assert self._task is not None
        assigned = asyncio.create_task(self._joined.wait())
        try:
            await asyncio.wait(
                {assigned, self._task}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            assigned.cancel()
        self.check()

    async def end(self) -> None:
        """Leave; a static member may come back, and is waited for."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._member and self._instance is None:
            await call(self._broker, lambda: self._group.leave(self._member))

    def check(self) -> None:
        """Raise what ended the membership."""
        if self._error is not None:
            raise self._error

    def watch(self, news: asyncio.Future[None]) -> None:
        """Wake a reader once the assignment has changed."""
        self._news[news] = None
        news.add_done_callback(lambda done: self._news.pop(done, None))

    def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Store offsets for the group."""
        group = self._group
        group.commit(self._member, self._generation, offsets, self._instance)

    async def _keep_up(self) -> None:
        try:
            while True:
                await self._join()
                await self._beat()
        except FencedInstanceIdError as error:
            self._error = error
            self._wake()

    async def _join(self) -> None:
        if self.listener is not None:
            await self.listener.on_partitions_revoked(self._assigned)
        self.is_joining = True
        joining = await call(
            self._broker,
            lambda: self._group.join(
                self._member,
                self._instance,
                self.topics,
                self.session_s,
                self.session_s,
            ),
        )
        self._member, self._generation, self._assigned = await joining
        self._on_assigned(self._assigned)
        if self.listener is not None:
            await self.listener.on_partitions_assigned(self._assigned)
        self.is_joining = False
        self._joined.set()
        self._wake()

    async def _beat(self) -> None:
        """Send heartbeats until it is time to join again."""
        loop, known = asyncio.get_running_loop(), self._counts()
        look_s = loop.time() + self.metadata_s
        while True:
            await asyncio.sleep(self.heartbeat_s)
            try:
                await call(self._broker, self._heartbeat)
            except UnknownMemberIdError:
                self._member = ""
                return
            except _JOIN_AGAIN:
                return
            if loop.time() >= look_s:
                look_s = loop.time() + self.metadata_s
                if self._counts() != known:
                    await call(self._broker, self._group.ask_to_join)
                    return

    def _heartbeat(self) -> None:
        self._group.heartbeat(self._member, self._generation, self._instance)

    def _counts(self) -> list[int]:
        return [self._group.partitions(topic) for topic in sorted(self.topics)]

    def _wake(self) -> None:
        for news in list(self._news):
            if not news.done():
                news.set_result(None)

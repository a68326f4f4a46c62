"""The runner: reads dispatches, starts their work, sends heartbeats, obeys aborts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from infra.blobs.files import Blobs
from infra.clock import Clock, wait_up_to
from infra.eventlog.contract import Consumer, Log, Positions, Received, Record
from infra.retry import retry_transient
from infra.setting_sections import RunnerSettings
from schemas import topics
from schemas.messages.dispatches import Dispatch
from schemas.wire import codec
from workers.plugins.plugin import Plugin
from workers.runner.attempt_history import AttemptHistory
from workers.runner.attempts import AttemptTracker
from workers.runner.cache_lookup import CacheLookups
from workers.runner.echo_tasks import EchoTasks
from workers.runner.handlers import Background, DispatchHandlers, Handler
from workers.runner.input_resolver import InputResolver
from workers.runner.literal_cache import LiteralMapCache
from workers.runner.offset_tracker import Location, OffsetTracker, location_of
from workers.runner.output_gatherer import OutputGatherer
from workers.runner.reports import Reports
from workers.runner.task_executor import TaskExecutor

_ABORTS_BATCH = 1000
_COMMIT_S = 0.1
_FULL_S = 0.01

_T = TypeVar("_T")


@dataclass(slots=True, kw_only=True)
class Runner:
    """One incarnation of a named runner.

    Without a process plugin every container task is echoed.
    """

    log: Log
    blobs: Blobs
    clock: Clock
    settings: RunnerSettings
    incarnation: str
    process: Plugin | None
    inline_limit: int
    report_delay_s: float
    cache_lookups: CacheLookups
    _reports: Reports = field(init=False)
    _handlers: Mapping[type[Dispatch], Handler] = field(init=False)
    _attempts: AttemptTracker = field(default_factory=AttemptTracker)
    _history: AttemptHistory = field(init=False)
    _offsets: OffsetTracker = field(default_factory=OffsetTracker)
    _waiting: set[asyncio.Task[None]] = field(default_factory=set)
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        """Build the parts."""
        self._reports = Reports(
            clock=self.clock, runner=self.settings.name, incarnation=self.incarnation
        )
        self._history = AttemptHistory(self.log, self.clock, self._attempts)
        literal_maps = LiteralMapCache(self.blobs)
        self._handlers = DispatchHandlers(
            reports=self._reports,
            append=self._append,
            attempts=self._attempts,
            tasks=TaskExecutor(
                blobs=self.blobs,
                clock=self.clock,
                reports=self._reports,
                append=self._append,
                report_delay_s=self.report_delay_s,
            ),
            process=self.process,
            echo=EchoTasks(self.blobs, self.inline_limit, literal_maps),
            inputs=InputResolver(self.blobs, self.inline_limit, literal_maps),
            outputs=OutputGatherer(self.blobs, self.inline_limit),
            cache=self.cache_lookups,
        ).by_kind()

    @property
    def dead_letters(self) -> int:
        """Return how many dispatches became dead letters since the start."""
        return self._reports.dead_letters

    @property
    def in_flight(self) -> int:
        """Return how many dispatches were read and not reported on yet."""
        return len(self._offsets)

    async def run(self, stop: asyncio.Event) -> None:
        """Handle dispatches until `stop`; then stop what still runs."""
        async with self.log.consume(topics.RUNNER_GROUP, topics.DISPATCHES) as consumer:
            aborts_end = await self._retry(
                lambda: self.log.end_positions((topics.ABORTS,)), "start_delayed"
            )
            await self._append(await self._heartbeats())
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self._read_dispatches(consumer, group)),
                    group.create_task(self._follow_aborts(aborts_end)),
                    group.create_task(self._send_heartbeats()),
                    group.create_task(self._commit_offsets(consumer)),
                ]
                await stop.wait()
                self._is_stopping = True
                for loop in loops:
                    loop.cancel()
                await self._drain()
            await self._commit(consumer, self._offsets.committable)

    async def _drain(self) -> None:
        """Cancel what runs and wait a while; then leave it to the plugin's `close`."""
        tasks = [*self._attempts.tasks, *self._waiting]
        for task in tasks:
            task.cancel()
        if tasks:
            await wait_up_to(self.settings.drain_timeout_s, tasks, self.clock)
        for task in tasks:
            task.cancel()

    async def _read_dispatches(
        self, consumer: Consumer, group: asyncio.TaskGroup
    ) -> None:
        generation = 0
        while True:
            room = self.settings.in_flight_max - self.in_flight
            if room <= 0:
                await self.clock.sleep(_FULL_S)
                continue
            limit = min(room, self.settings.dispatches_max)
            batch = await self._retry(partial(consumer.read, limit), "read_delayed")
            if consumer.generation != generation:
                generation = consumer.generation
                self._history.reset()
            await self._history.read_before(batch)
            await self._start_batch(batch, group)

    async def _start_batch(
        self, batch: Sequence[Received], group: asyncio.TaskGroup
    ) -> None:
        """Start the work of a batch; append together what is answered at once."""
        handled: list[Location] = []
        reports: list[Record] = []
        for received in batch:
            location = location_of(received)
            if not self._offsets.track(location):
                continue
            answer = self._start(received, location, group)
            if answer is not None:
                handled.append(location)
                reports.extend(answer)
        if reports:
            await self._append(reports)
        self._offsets.mark_handled(handled)

    def _start(
        self, received: Received, location: Location, group: asyncio.TaskGroup
    ) -> Sequence[Record] | None:
        """Start one dispatch; return its reports, or None if its work goes on."""
        try:
            dispatch = codec.decode(received.body)
        except codec.UndecodableMessageError as error:
            return (self._reports.dead_letter(received, str(error)),)
        handle = None
        if isinstance(dispatch, Dispatch):
            handle = self._handlers.get(type(dispatch))
        if handle is None:
            found = f"Expected a dispatch, but it is {type(dispatch).__name__}"
            return (self._reports.dead_letter(received, found),)
        answer = handle(dispatch, partial(self._mark_handled, location))
        if not isinstance(answer, Background):
            return answer
        self._spawn(answer, location, group)
        return None

    def _spawn(
        self, background: Background, location: Location, group: asyncio.TaskGroup
    ) -> None:
        task = group.create_task(background.work)
        # A task that is cancelled before its first step runs none of its own code.
        task.add_done_callback(lambda _: self._mark_handled(location))
        if background.attempt is not None:
            self._attempts.add_running(background.attempt, task)
        if background.waits:
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    def _mark_handled(self, location: Location) -> None:
        if not self._is_stopping:
            self._offsets.mark_handled((location,))

    async def _follow_aborts(self, after: Positions) -> None:
        """Stop attempts at once; note aborts of dispatches that were not read yet."""
        async for batch in self.log.tail((topics.ABORTS,), after, _ABORTS_BATCH):
            for received in batch:
                self._attempts.mark_aborted(received.key)
                self._attempts.cancel(received.key)

    async def _send_heartbeats(self) -> None:
        while True:
            await self.clock.sleep(self.settings.heartbeat_interval_s)
            await self._append(await self._heartbeats())
            await self.cache_lookups.extend_reservations(self._attempts.running)

    async def _heartbeats(self) -> Sequence[Record]:
        """Return a heartbeat for each partition of commands: its owner knows leases."""
        count = await self._retry(
            lambda: self.log.partitions(topics.COMMANDS), "start_delayed"
        )
        return [self._reports.heartbeat(partition) for partition in range(count)]

    async def _commit_offsets(self, consumer: Consumer) -> None:
        """Commit positions up to which every dispatch has had its first report."""
        committed: Positions = {}
        while True:
            await self.clock.sleep(_COMMIT_S)
            committable = self._offsets.committable
            if committable != committed:
                await self._commit(consumer, committable)
                committed = committable

    async def _commit(self, consumer: Consumer, positions: Positions) -> None:
        await self._retry(lambda: consumer.commit(positions), "offset_commit_delayed")

    async def _append(self, records: Sequence[Record]) -> None:
        await self._retry(lambda: self.log.append(records), "report_delayed")

    async def _retry(self, action: Callable[[], Awaitable[_T]], event: str) -> _T:
        return await retry_transient(action, event, clock=self.clock)

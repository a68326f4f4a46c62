"""The runner: reads dispatches, starts their work, sends heartbeats, obeys aborts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import structlog

from infra.blobs.files import Blobs
from infra.clock import Clock, wait_up_to
from infra.errors import FencedError, PermanentError
from infra.eventlog.contract import Consumer, Log, Positions, Received, Record
from infra.retry import retry_transient, run_endless
from infra.setting_sections.processes import RunnerSettings
from schemas import topics
from schemas.levels import newest_level
from schemas.messages.dispatches import Dispatch, RunTask
from schemas.wire import codec
from workers.plugins.plugin import Plugin, system_retryable_failure
from workers.runner.attempt_history import AttemptHistory
from workers.runner.attempts import AttemptTracker, dispatch_key
from workers.runner.cache_lookup import CacheLookups
from workers.runner.echo_tasks import EchoTasks
from workers.runner.handlers import Background, DispatchHandlers, Handler
from workers.runner.input_resolver import InputResolver
from workers.runner.literal_cache import LiteralMapCache
from workers.runner.liveness import Liveness
from workers.runner.offset_tracker import Location, OffsetTracker, location_of
from workers.runner.output_gatherer import OutputGatherer
from workers.runner.reports import Reports, abort_of_dispatch
from workers.runner.task_executor import MarkHandled, TaskExecutor

log_ = structlog.get_logger(__name__)

_ABORTS_BATCH = 1000
_COMMIT_S = 0.1
_FULL_S = 0.01
_LEASES_LEVEL = 2
"""The format level that brings reports of leases."""

_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class _Work:
    """What goes on for a dispatch that was read."""

    task: asyncio.Task[None]
    dispatch: Dispatch
    background: Background
    is_dropped: bool = False

    @property
    def has_started(self) -> bool:
        """Return whether a plugin has started it."""
        run = self.background.run
        return run is not None and run.has_started

    def drop(self, attempts: AttemptTracker) -> None:
        """End it as if its dispatch had not been read."""
        self.is_dropped = True
        self.task.cancel()
        if isinstance(self.dispatch, RunTask):
            attempts.forget(*dispatch_key(self.dispatch))


@dataclass(slots=True, kw_only=True)
class Runner:
    """One incarnation of a named runner.

    Without a process plugin every container task is echoed. After `timeout_s` without
    an acknowledged heartbeat others may have been given its attempts: it starts nothing
    new then, and reports its leases when it is heard again.
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
    timeout_s: float = 30.0
    format_level: Callable[[], int] = newest_level
    _reports: Reports = field(init=False)
    _liveness: Liveness = field(init=False)
    _handlers: Mapping[type[Dispatch], Handler] = field(init=False)
    _attempts: AttemptTracker = field(default_factory=AttemptTracker)
    _history: AttemptHistory = field(init=False)
    _offsets: OffsetTracker = field(default_factory=OffsetTracker)
    # In the order of their dispatches: they end in it, too.
    _works: dict[_Work, None] = field(default_factory=dict)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _consumer: Consumer | None = None
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        """Build the parts."""
        self._reports = Reports(
            clock=self.clock, runner=self.settings.name, incarnation=self.incarnation
        )
        self._liveness = Liveness(clock=self.clock, timeout_s=self.timeout_s)
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
                may_start=self._may_start,
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
        async with self.log.consume(
            topics.RUNNER_GROUP, topics.DISPATCHES, self._release
        ) as consumer:
            self._consumer = consumer
            aborts_end = await self._retry(
                lambda: self.log.end_positions((topics.ABORTS,)), "start_delayed"
            )
            await self._beat()
            follow = partial(self._follow_aborts, dict(aborts_end))
            async with asyncio.TaskGroup() as group:
                endless: list[Callable[[], Awaitable[None]]] = [
                    partial(self._read_dispatches, consumer, group),
                    partial(self._retry, follow, "read_delayed"),
                    self._send_heartbeats,
                    partial(self._commit_offsets, consumer),
                ]
                if self.settings.stops_unheard:
                    endless.append(self._stop_unheard)
                loops = [group.create_task(run_endless(loop)) for loop in endless]
                await stop.wait()
                self._is_stopping = True
                for loop in loops:
                    loop.cancel()
                await self._drain()
            await self._commit(consumer, self._offsets.committable)

    async def _drain(self) -> None:
        """Cancel what runs and wait a while; then leave it to the plugin's `close`."""
        tasks = [w.task for w in self._works if w.background.ends_with_runner]
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
            if room <= 0 or self._offsets.size >= self.settings.in_flight_bytes_max:
                await self.clock.sleep(_FULL_S)
                continue
            limit = min(room, self.settings.dispatches_max)
            batch = await self._retry(partial(consumer.read, limit), "read_delayed")
            if consumer.generation != generation:
                generation = consumer.generation
                self._history.reset()
            await self._history.read_before(batch)
            await self._liveness.wait()
            async with self._starting:
                # What was released meanwhile is delivered again, here or to another.
                if consumer.generation == generation:
                    await self._start_batch(batch, group)

    async def _start_batch(
        self, batch: Sequence[Received], group: asyncio.TaskGroup
    ) -> None:
        """Start the work of a batch; append together what is answered at once."""
        handled: list[Location] = []
        answers: list[tuple[Received, Sequence[Record]]] = []
        for received in batch:
            location = location_of(received)
            if not self._offsets.track(location, len(received.body)):
                continue
            answer = self._start(received, location, group)
            if answer is not None:
                handled.append(location)
                answers.append((received, answer))
        if reports := [report for _, answer in answers for report in answer]:
            try:
                await self._append(reports)
            except PermanentError:
                for received, answer in answers:
                    await self._report_alone(received, answer)
        self._offsets.mark_handled(handled)

    async def _report_alone(self, received: Received, answer: Sequence[Record]) -> None:
        """Append a dispatch's reports; if the log can't store them, a small one."""
        try:
            await self._append(answer)
        except PermanentError as error:
            await self._report_failure(received, error)

    async def _report_failure(self, received: Received, error: Exception) -> None:
        """Report that a dispatch failed; at least a small dead letter is appended."""
        log_.error("dispatch_failed", id=received.envelope.id, exc_info=error)
        found = self._reports.failure_or_dead_letter(received, error)
        try:
            await self._append((found,))
        except PermanentError as refused:
            why = f"{error!r}; {refused}"
            letter = self._reports.dead_letter(received, why, with_body=False)
            await self._append((letter,))

    def _start(
        self, received: Received, location: Location, group: asyncio.TaskGroup
    ) -> Sequence[Record] | None:
        """Start one dispatch; return its reports, or None if its work goes on."""
        try:
            dispatch = codec.decode(received.body)
        except codec.UndecodableMessageError as error:
            return (self._reports.dead_letter(received, str(error)),)
        handle = self._handlers.get(type(dispatch))  # type: ignore[arg-type]  # or not
        if handle is None or not isinstance(dispatch, Dispatch):
            found = f"Expected a dispatch, but it is {type(dispatch).__name__}"
            return (self._reports.dead_letter(received, found),)
        mark_handled = partial(self._mark_handled, self._offsets, location)
        try:
            answer = handle(dispatch, mark_handled)
        except Exception as error:
            log_.exception("dispatch_failed", id=received.envelope.id)
            return (self._reports.failure_or_dead_letter(received, error),)
        if not isinstance(answer, Background):
            return answer
        self._spawn(received, answer, dispatch, mark_handled, group)
        return None

    def _spawn(
        self,
        received: Received,
        background: Background,
        dispatch: Dispatch,
        mark_handled: MarkHandled,
        group: asyncio.TaskGroup,
    ) -> None:
        task = group.create_task(self._guarded(received, background.work))
        work = _Work(task, dispatch, background)
        self._works[work] = None

        def end(_: asyncio.Task[None]) -> None:
            # A task that is cancelled before its first step runs none of its own code.
            self._works.pop(work, None)
            if not work.is_dropped:
                mark_handled()

        task.add_done_callback(end)
        if background.attempt is not None:
            self._attempts.add_running(background.attempt, task, background.run)

    async def _guarded(
        self, received: Received, work: Coroutine[None, None, None]
    ) -> None:
        """Do the work of a dispatch; whatever it raises costs that dispatch only."""
        try:
            await work
        except FencedError:
            raise
        except Exception as error:  # noqa: BLE001 - logged and reported
            await self._report_failure(received, error)

    def _mark_handled(self, offsets: OffsetTracker, location: Location) -> None:
        if not self._is_stopping:
            offsets.mark_handled((location,))

    async def _release(self, consumer: Consumer) -> None:
        """Leave partitions to others: nothing of theirs must run in two places.

        What hasn't started is dropped: it is delivered again. The start of what has is
        on the log before the positions are committed.
        """
        async with self._starting:
            if self._is_stopping:
                return
            offsets, self._offsets = self._offsets, OffsetTracker()
            dropped = [work for work in self._works if not work.has_started]
            for work in dropped:
                work.drop(self._attempts)
            started = self._attempts.started
            for run in started:
                run.report_now()
            # The caller bounds the waits.
            if started:
                await asyncio.wait([run.reported for run in started])
            await self._commit(consumer, offsets.committable)
            if dropped:
                await asyncio.wait([work.task for work in dropped])

    async def _follow_aborts(self, reached: dict[int, int]) -> None:
        """Stop attempts at once; note aborts of dispatches that were not read yet."""
        async for batch in self.log.tail((topics.ABORTS,), reached, _ABORTS_BATCH):
            for received in batch:
                abort = abort_of_dispatch(received)
                if abort is None:
                    self._attempts.mark_aborted(received.key)
                    self._attempts.cancel(received.key)
                elif self._reports.is_addressed(abort):
                    self._attempts.cancel_dispatch(received.key, abort.dispatch_no)
                reached[received.partition] = received.position

    async def _send_heartbeats(self) -> None:
        while True:
            await self._liveness.pause(self.settings.heartbeat_interval_s)
            await self._beat()
            await self.cache_lookups.extend_reservations(self._attempts.running)

    async def _beat(self) -> None:
        """Send heartbeats until one was acknowledged in time."""
        while True:
            heartbeats = await self._heartbeats()
            await self._retry(partial(self._try_beat, heartbeats), "report_delayed")
            if self._liveness.is_heard:
                return

    async def _try_beat(self, heartbeats: Sequence[Record]) -> None:
        """Send heartbeats; one that wasn't heard reports its leases before them."""
        sent_s, sent_us = self.clock.monotonic(), self.clock.now_us()
        leases = list[Record]()
        if not self._liveness.is_heard and self.format_level() >= _LEASES_LEVEL:
            started = self._attempts.started
            leases = [self._reports.lease(run.dispatch) for run in started]
        await self.log.append([*leases, *heartbeats])
        self._liveness.mark_heard(sent_s, sent_us)

    async def _may_start(self) -> None:
        """Return once nobody else can have been given what was read here."""
        await self._liveness.wait()
        if self._consumer is not None:
            await self._consumer.confirm()

    async def _stop_unheard(self) -> None:
        """Stop what runs once nobody has heard this runner for too long."""
        while True:
            await self.clock.sleep(max(self._liveness.left_s, _FULL_S))
            if not self._liveness.left_s:
                message = f"runner '{self.settings.name}' could send no heartbeats"
                failure = system_retryable_failure("RunnerUnheard", message)
                self._attempts.stop_started(failure)
                await self._liveness.wait()

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

"""The runner: carries dispatches out and reports; holds leases, heeds aborts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import structlog
from flyteidl.core import tasks_pb2

from infra.blobs.files import Blobs
from infra.clock import Clock, wait_up_to
from infra.eventlog.contract import Consumer, Log, Received, Record
from infra.retry import retry_transient
from infra.settings import RunnerSettings
from schemas import topics
from schemas.ids import attempt_id, checkpoint_path
from schemas.messages import dispatches as d
from schemas.wire import codec
from workers.plugins.plugin import Failed, Plugin, Result, Work, failed, interrupted
from workers.plugins.pods import is_container
from workers.runner.cache_lookup import LookUps
from workers.runner.echo_tasks import Echo
from workers.runner.input_resolver import Resolver
from workers.runner.literal_cache import LiteralMapCache
from workers.runner.offset_tracker import Place, Positions, place_of
from workers.runner.output_gatherer import gather_outputs, not_gathered
from workers.runner.reports import Reports, work_reported

log_ = structlog.get_logger(__name__)

ECHO_TYPE = "echo"
_REMEMBERED_MAX = 100_000
_LOOK_BACK_BATCH = 1000
_COMMIT_S = 0.1
_ROOM_S = 0.01

_T = TypeVar("_T")


@dataclass(slots=True, eq=False)
class _Running:
    """One dispatch under way."""

    dispatch_no: int
    task: asyncio.Task[None]


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
    look_ups: LookUps
    _reports: Reports = field(init=False)
    _echo: Echo = field(init=False)
    _resolver: Resolver = field(init=False)
    _running: dict[str, _Running] = field(default_factory=dict)
    _look_ups: set[asyncio.Task[None]] = field(default_factory=set)
    _newest: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _aborted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _reported: set[tuple[str, int]] = field(default_factory=set)
    _positions: Positions = field(default_factory=Positions)
    _looked_back: set[int] = field(default_factory=set)
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        """Find the words and the simplest of the plugins."""
        self._reports = Reports(
            clock=self.clock, runner=self.settings.name, incarnation=self.incarnation
        )
        literal_maps = LiteralMapCache(self.blobs)
        self._echo = Echo(self.blobs, self.inline_limit, literal_maps)
        self._resolver = Resolver(self.blobs, self.inline_limit, literal_maps)

    @property
    def dead_letters(self) -> int:
        """Return how many dispatches were put aside since the start."""
        return self._reports.dead_letters

    async def run(self, stop: asyncio.Event) -> None:
        """Carry dispatches out until `stop`; what still runs then is stopped."""
        async with self.log.consume(topics.RUNNER_GROUP, topics.DISPATCHES) as consumer:
            told = await self._retry(
                lambda: self.log.end_positions((topics.ABORTS,)), "start_delayed"
            )
            await self._append(await self._beats())
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self._take_dispatches(consumer, group)),
                    group.create_task(self._heed_aborts(told)),
                    group.create_task(self._beat()),
                    group.create_task(self._keep_positions(consumer)),
                ]
                await stop.wait()
                self._is_stopping = True
                for loop in loops:
                    loop.cancel()
                await self._drain()
            await self._keep(consumer, self._positions.settled)

    async def _drain(self) -> None:
        """Stop what runs: politely for a while, then leave it to the plugin's end."""
        tasks = [running.task for running in self._running.values()]
        tasks += self._look_ups
        for task in tasks:
            task.cancel()
        if tasks:
            await wait_up_to(self.settings.drain_s, tasks, self.clock)
        for task in tasks:
            task.cancel()

    async def _look_back(self, batch: Sequence[Received]) -> None:
        """Learn what was reported, and told, since the oldest of these dispatches.

        They may have been read before: by an incarnation before this one, or by
        another member of the group. Those that were reported on have ended, or will be
        dispatched anew, as their lease is the other's.
        """
        oldest = {received.partition: received for received in reversed(batch)}
        unseen = [r for p, r in oldest.items() if p not in self._looked_back]
        await asyncio.gather(
            *(
                self._retry(partial(self._read_since, first, topic), "start_delayed")
                for first in unseen
                for topic in (topics.ABORTS, topics.COMMANDS)
            )
        )
        self._looked_back |= {first.partition for first in unseen}

    async def _read_since(self, first: Received, topic: str) -> None:
        after = await self.log.positions_before(first, topic)
        async for batch in self.log.read_to_end(topic, after, _LOOK_BACK_BATCH):
            for received in batch:
                if topic == topics.ABORTS:
                    _remember(self._aborted, received.key, None)
                elif reported := work_reported(received):
                    self._reported.add(reported)

    async def _take_dispatches(
        self, consumer: Consumer, group: asyncio.TaskGroup
    ) -> None:
        generation = 0
        while True:
            room = self.settings.waiting_max - len(self._positions)
            if room <= 0:
                await self.clock.sleep(_ROOM_S)
                continue
            limit = min(room, self.settings.dispatches_max)
            batch = await self._retry(partial(consumer.read, limit), "reading_delayed")
            if consumer.generation != generation:
                generation = consumer.generation
                self._looked_back.clear()
            await self._look_back(batch)
            await self._take_batch(batch, group)

    async def _take_batch(
        self, batch: Sequence[Received], group: asyncio.TaskGroup
    ) -> None:
        settled: list[Place] = []
        reports: list[Record] = []
        for received in batch:
            if not self._positions.take(place_of(received)):
                continue
            answer = self._take(received, group)
            if answer is not None:
                settled.append(place_of(received))
                reports.extend(answer)
        if reports:
            await self._append(reports)
        self._positions.settle(settled)

    def _take(
        self, received: Received, group: asyncio.TaskGroup
    ) -> Sequence[Record] | None:
        """Begin one dispatch; return all there is to report, or None if it goes on."""
        try:
            dispatch = codec.decode(received.body)
        except codec.UndecodableMessageError as error:
            return self._reports.dead_letter(received, str(error))
        if isinstance(dispatch, d.ResolveInputs):
            self._spawn(group, place_of(received), self._resolve(dispatch))
            return None
        if isinstance(dispatch, d.LookUpCache):
            looking = self._spawn(group, place_of(received), self._look_up(dispatch))
            self._look_ups.add(looking)
            looking.add_done_callback(self._look_ups.discard)
            return None
        if isinstance(dispatch, d.GatherOutputs):
            self._spawn(group, place_of(received), self._gather(dispatch))
            return None
        if not isinstance(dispatch, d.RunTask):
            found = f"Expected a dispatch, but it is {type(dispatch).__name__}"
            return self._reports.dead_letter(received, found)
        key = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        if self._is_stale(key, dispatch.dispatch_no):
            return ()
        _remember(self._newest, key, dispatch.dispatch_no)
        return self._run_task(dispatch, key, place_of(received), group)

    def _is_stale(self, key: str, dispatch_no: int) -> bool:
        """Tell whether an attempt was aborted, done, or dispatched anew since."""
        if key in self._aborted or self._newest.get(key, -1) >= dispatch_no:
            return True
        return (key, dispatch_no) in self._reported

    def _run_task(
        self, dispatch: d.RunTask, key: str, place: Place, group: asyncio.TaskGroup
    ) -> Sequence[Record] | None:
        try:
            template = tasks_pb2.TaskTemplate.FromString(dispatch.template)
        except ValueError as error:
            return self._refuse(dispatch, "BadTaskDefinition", str(error))
        is_run = is_container(template)
        if template.type == ECHO_TYPE or (is_run and self.process is None):
            echoed = self._echo.at_once(template, dispatch)
            if echoed is None:
                self._spawn(group, place, self._echo_read(dispatch, template))
                return None
            return (self._reports.ended(dispatch, echoed, self.clock.now_us()),)
        if not is_run or self.process is None:
            found = f"Expected a task type that runs here, but got '{template.type}'"
            return self._refuse(dispatch, "UnsupportedTaskType", found)
        older = self._running.get(key)
        if older is not None:
            older.task.cancel()
        carrying = self._carry_out(dispatch, self.process, place)
        task = self._spawn(group, place, carrying)
        running = self._running[key] = _Running(dispatch.dispatch_no, task)
        task.add_done_callback(lambda _: self._forget(key, running))
        return None

    def _refuse(self, dispatch: d.RunTask, code: str, message: str) -> Sequence[Record]:
        result = failed(code, message)
        return (self._reports.ended(dispatch, result, self.clock.now_us()),)

    def _spawn(
        self,
        group: asyncio.TaskGroup,
        place: Place,
        work: Coroutine[Any, Any, None],
    ) -> asyncio.Task[None]:
        task = group.create_task(work)
        # A task cancelled before its first step runs nothing of its own.
        task.add_done_callback(lambda _: self._over(place))
        return task

    def _over(self, place: Place) -> None:
        if not self._is_stopping:
            self._positions.settle((place,))

    def _forget(self, key: str, running: _Running) -> None:
        if self._running.get(key) is running:
            del self._running[key]

    async def _resolve(self, dispatch: d.ResolveInputs) -> None:
        report = await self._resolver.answer(dispatch)
        await self._append([self._reports.resolved(dispatch, report)])

    async def _look_up(self, dispatch: d.LookUpCache) -> None:
        key = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        aborted = self._aborted
        async for answer in self.look_ups.answers(dispatch, lambda: key in aborted):
            await self._append([self._reports.looked_up(dispatch, answer)])

    async def _gather(self, dispatch: d.GatherOutputs) -> None:
        try:
            report = await gather_outputs(dispatch, self.blobs, self.inline_limit)
        except Exception as error:
            log_.exception("gathering_failed", node=dispatch.node_id)
            report = not_gathered(dispatch, str(error))
        await self._append([self._reports.gathered(dispatch, report)])

    async def _echo_read(self, dispatch: d.RunTask, template: Any) -> None:
        began = self.clock.now_us()
        try:
            result: Result = await self._echo.run(self._work(dispatch), template)
        except Exception as error:
            log_.exception("echo_failed", attempt=dispatch.generated_name)
            result = _unexpected(error)
        await self._append([self._reports.ended(dispatch, result, began)])

    async def _carry_out(
        self, dispatch: d.RunTask, plugin: Plugin, place: Place
    ) -> None:
        """Run one attempt by its plugin; cancelling it aborts the attempt."""
        work, began = self._work(dispatch), self.clock.now_us()
        try:
            result, began = await self._run(work, plugin, place)
        except asyncio.CancelledError:
            await plugin.abort(work)
            raise
        except Exception as error:
            log_.exception("plugin_failed", attempt=dispatch.generated_name)
            await plugin.abort(work)
            result = _unexpected(error)
        finally:
            await plugin.finalize(work)
        await self._append([self._reports.ended(dispatch, result, began)])

    async def _run(
        self, work: Work, plugin: Plugin, place: Place
    ) -> tuple[Result, int]:
        """Return the result and when it began; tell of the start if it takes long."""
        begun = await plugin.start(work)
        began = self.clock.now_us()
        if isinstance(begun, Failed):
            return begun, began
        watching = asyncio.ensure_future(plugin.watch(work))
        try:
            await wait_up_to(self.report_delay_s, {watching}, self.clock)
            if not watching.done():
                report = self._reports.started(work.dispatch, began, begun)
                await self._append([report])
                self._over(place)
            return await watching, began
        finally:
            watching.cancel()

    def _work(self, dispatch: d.RunTask) -> Work:
        """Give each run prefixes of its own; two runs never write the same file."""
        run = f"{dispatch.dispatch_no}-{self.incarnation}"
        raw = self.blobs.uri(dispatch.raw_output_prefix.removeprefix("file://"))
        previous = dispatch.previous_checkpoint
        return Work(
            dispatch=dispatch,
            input_uri=self.blobs.uri(dispatch.input_path),
            output_prefix=f"{self.blobs.uri(dispatch.output_path)}/{run}",
            raw_output_prefix=f"{raw}/{run}",
            checkpoint=checkpoint_path(raw),
            previous_checkpoint=self.blobs.uri(previous) if previous else "",
        )

    async def _heed_aborts(self, after: Mapping[int, int]) -> None:
        """Stop attempts at once; remember aborts of what hasn't been read yet."""
        async for batch in self.log.tail((topics.ABORTS,), after, 1000):
            for received in batch:
                _remember(self._aborted, received.key, None)
                running = self._running.get(received.key)
                if running is not None:
                    running.task.cancel()

    async def _beat(self) -> None:
        while True:
            await self.clock.sleep(self.settings.heartbeat_s)
            await self._append(await self._beats())
            await self.look_ups.keep_alive(self._running)

    async def _beats(self) -> Sequence[Record]:
        """Return a heartbeat for each partition of commands: each keeps leases."""
        count = await self._retry(
            lambda: self.log.partitions(topics.COMMANDS), "start_delayed"
        )
        return [self._reports.heartbeat(partition) for partition in range(count)]

    async def _keep_positions(self, consumer: Consumer) -> None:
        """Keep positions up to which every dispatch has had its first report."""
        kept: Mapping[int, int] = {}
        while True:
            await self.clock.sleep(_COMMIT_S)
            settled = self._positions.settled
            if settled != kept:
                await self._keep(consumer, settled)
                kept = settled

    async def _append(self, records: Sequence[Record]) -> None:
        await self._retry(lambda: self.log.append(records), "report_delayed")

    async def _keep(self, consumer: Consumer, positions: Mapping[int, int]) -> None:
        await self._retry(lambda: consumer.commit(positions), "position_delayed")

    async def _retry(self, action: Callable[[], Awaitable[_T]], event: str) -> _T:
        return await retry_transient(action, event, clock=self.clock)


def _unexpected(error: Exception) -> Failed:
    """Return the failure of work that the engine's own part failed in."""
    return interrupted("PluginFailure", f"Expected to carry it out, but: {error!r}")


def _remember(memory: OrderedDict[str, Any], key: str, value: Any) -> None:
    memory[key] = value
    memory.move_to_end(key)
    while len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)

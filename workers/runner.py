"""The runner: carries dispatches out and reports; holds leases, heeds aborts."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from flyteidl.core import tasks_pb2

from infra.blobs import Blobs
from infra.errors import InfraError
from infra.log import Consumer, Log, Received, Record
from infra.settings import RunnerSettings
from schemas import codec, topics
from schemas import commands as c
from schemas import dispatches as d
from schemas.envelope import Envelope
from schemas.ids import attempt_id, report_id
from schemas.values import Failure, TaskLog, Values
from workers.plugins.echo import echo
from workers.plugins.plugin import Failed, Plugin, Result, failed
from workers.resolver import resolve_inputs

log_ = structlog.get_logger(__name__)

GROUP = "runner"
CONTAINER_TYPES = frozenset({"container", "python-task", "raw-container"})
_ABORTS_KEPT = 100_000
_COMMIT_S = 0.1


class Clock(Protocol):
    """The time of day."""

    def now_us(self) -> int:
        """Return microseconds since 1970, UTC."""
        ...


@dataclass(slots=True)
class _Running:
    """One dispatch under way."""

    dispatch_no: int
    task: asyncio.Task[None]


@dataclass(slots=True, kw_only=True)
class Runner:
    """One incarnation of a named runner."""

    log: Log
    blobs: Blobs
    clock: Clock
    settings: RunnerSettings
    incarnation: str
    process: Plugin | None
    inline_limit: int
    report_delay_s: float
    _running: dict[str, _Running] = field(default_factory=dict)
    _aborted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _open: dict[int, None] = field(default_factory=dict)
    _read_to: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Carry dispatches out until `stop`; what still runs then is stopped."""
        async with self.log.consume(GROUP, topics.DISPATCHES) as consumer:
            self._read_to = kept = await self._kept()
            async with asyncio.TaskGroup() as group:
                loops = [
                    group.create_task(self._take_dispatches(consumer, group)),
                    group.create_task(self._heed_aborts(kept)),
                    group.create_task(self._beat()),
                    group.create_task(self._keep_position(consumer)),
                ]
                await stop.wait()
                for task in (*loops, *(r.task for r in self._running.values())):
                    task.cancel()

    async def _kept(self) -> int:
        position = getattr(self.log, "position", None)
        return int(await position(GROUP)) if position else 0

    async def _take_dispatches(
        self, consumer: Consumer, group: asyncio.TaskGroup
    ) -> None:
        while True:
            if len(self._open) >= self.settings.dispatches_max:
                await asyncio.sleep(_COMMIT_S / 10)
                continue
            batch = await consumer.read(self.settings.dispatches_max)
            reports: list[Record] = []
            for received in batch:
                self._open[received.position] = None
                self._read_to = received.position
                reports.extend(await self._take(received, group))
            if reports:
                await self.log.append(reports)
            for received in batch:
                key = received.key
                if key not in self._running:
                    self._open.pop(received.position, None)

    async def _take(
        self, received: Received, group: asyncio.TaskGroup
    ) -> Sequence[Record]:
        """Begin one dispatch; what can be done at once is returned as its report."""
        dispatch = codec.decode(received.body)
        key = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        if key in self._aborted:
            return ()
        if isinstance(dispatch, d.ResolveInputs):
            return (await self._resolve(dispatch),)
        if not isinstance(dispatch, d.RunTask):
            log_.error("not_a_dispatch", type=type(dispatch).__name__)
            return ()
        template = tasks_pb2.TaskTemplate.FromString(dispatch.template)
        if template.type == "echo" or (
            self.process is None and template.type in CONTAINER_TYPES
        ):
            return (await self._echo(dispatch),)
        if self.process is None or template.type not in CONTAINER_TYPES:
            message = f"Expected a task type that runs here, but got '{template.type}'"
            now = self.clock.now_us()
            return (self._ended(dispatch, failed("UnsupportedTaskType", message), now),)
        known = self._running.get(key)
        if known is not None:
            if known.dispatch_no >= dispatch.dispatch_no:
                return ()
            known.task.cancel()
        task = group.create_task(
            self._carry_out(dispatch, self.process, received.position)
        )
        self._running[key] = _Running(dispatch.dispatch_no, task)
        return ()

    async def _resolve(self, dispatch: d.ResolveInputs) -> Record:
        report: c.ReportInputsResolved | c.ReportResolutionFailed
        try:
            report = await resolve_inputs(dispatch, self.blobs, self.inline_limit)
        except Exception as error:
            log_.exception("resolution_failed", node=dispatch.node_id)
            report = c.ReportResolutionFailed(
                node_id=dispatch.node_id,
                attempt=dispatch.attempt,
                failure=_unexpected(error).failure,
            )
        return self._record(dispatch, report, "resolved")

    async def _echo(self, dispatch: d.RunTask) -> Record:
        now = self.clock.now_us()
        inputs = dispatch.inputs.inline
        if inputs is None:
            try:
                inputs = await self.blobs.get(dispatch.inputs.uri)
            except (InfraError, OSError) as error:
                return self._ended(dispatch, _unexpected(error), now)
        report = c.ReportTaskSucceeded(
            node_id=dispatch.node_id,
            attempt=dispatch.attempt,
            dispatch_no=dispatch.dispatch_no,
            runner=self.settings.name,
            incarnation=self.incarnation,
            started_at_us=now,
            ended_at_us=now,
            outputs=await self._within_limit(dispatch, echo(dispatch, inputs)),
        )
        return self._record(dispatch, report, "succeeded", dispatch.dispatch_no)

    async def _within_limit(self, dispatch: d.RunTask, outputs: Values) -> Values:
        """Return outputs by reference if they are too large to travel in events."""
        data = outputs.inline
        if data is None or len(data) <= self.inline_limit:
            return outputs
        folder = f"{dispatch.output_path}/{dispatch.dispatch_no}-{self.incarnation}"
        blob = await self.blobs.put(self.blobs.uri(f"{folder}/outputs.pb"), data)
        return Values(uri=blob.uri, digest=blob.digest, size=blob.size)

    async def _carry_out(
        self, dispatch: d.RunTask, plugin: Plugin, position: int
    ) -> None:
        """Run one attempt by its plugin, reporting its start if it takes long."""
        key = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        base = self.blobs.uri(dispatch.output_path)
        prefix = f"{base}/{dispatch.dispatch_no}-{self.incarnation}"
        began: list[int] = []
        late: list[asyncio.Task[None]] = []

        async def started(logs: tuple[TaskLog, ...]) -> None:
            began.append(self.clock.now_us())
            late.append(
                asyncio.create_task(
                    self._report_start(dispatch, began[0], logs, position)
                )
            )

        try:
            result = await self._result(dispatch, plugin, prefix, started)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            start = began[0] if began else self.clock.now_us()
            await self.log.append([self._ended(dispatch, result, start)])
        finally:
            for task in late:
                task.cancel()
            self._open.pop(position, None)
            known = self._running.get(key)
            if known is not None and known.dispatch_no == dispatch.dispatch_no:
                del self._running[key]

    async def _result(
        self, dispatch: d.RunTask, plugin: Plugin, prefix: str, started: Any
    ) -> Result:
        try:
            return await plugin.run(dispatch, prefix, started)
        except Exception as error:
            log_.exception("plugin_failed", attempt=dispatch.generated_name)
            return _unexpected(error)

    async def _report_start(
        self,
        dispatch: d.RunTask,
        started_at_us: int,
        logs: tuple[TaskLog, ...],
        position: int,
    ) -> None:
        await asyncio.sleep(self.report_delay_s)
        report = c.ReportTaskStarted(
            node_id=dispatch.node_id,
            attempt=dispatch.attempt,
            dispatch_no=dispatch.dispatch_no,
            runner=self.settings.name,
            incarnation=self.incarnation,
            started_at_us=started_at_us,
            logs=logs,
        )
        record = self._record(dispatch, report, "started", dispatch.dispatch_no)
        await self.log.append([record])
        self._open.pop(position, None)

    def _ended(self, dispatch: d.RunTask, result: Result, started_at_us: int) -> Record:
        where: dict[str, Any] = {
            "node_id": dispatch.node_id,
            "attempt": dispatch.attempt,
            "dispatch_no": dispatch.dispatch_no,
            "runner": self.settings.name,
            "incarnation": self.incarnation,
            "started_at_us": started_at_us,
            "ended_at_us": self.clock.now_us(),
            "logs": result.logs,
        }
        report: c.ReportTaskSucceeded | c.ReportTaskFailed
        if isinstance(result, Failed):
            report = c.ReportTaskFailed(
                **where, failure=result.failure, recoverable=result.recoverable
            )
            return self._record(dispatch, report, "failed", dispatch.dispatch_no)
        report = c.ReportTaskSucceeded(
            **where, outputs=result.outputs, deck_uri=result.deck_uri
        )
        return self._record(dispatch, report, "succeeded", dispatch.dispatch_no)

    def _record(
        self, dispatch: d.Dispatch, report: c.Command, phase: str, dispatch_no: int = 0
    ) -> Record:
        key = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        return Record(
            topic=topics.COMMANDS,
            key=dispatch.stream,
            envelope=Envelope(
                id=report_id(key, dispatch_no, f"{phase}-{self.incarnation}"),
                type=codec.type_name(report),
                stream=dispatch.stream,
                actor=f"runner/{self.settings.name}",
                recorded_at_us=self.clock.now_us(),
            ),
            body=codec.encode(report),
        )

    async def _heed_aborts(self, after: int) -> None:
        """Stop attempts at once; remember aborts of what hasn't been read yet."""
        async for batch in self.log.tail((topics.ABORTS,), {0: after}, 1000):
            for received in batch:
                self._aborted[received.key] = None
                known = self._running.get(received.key)
                if known is not None:
                    known.task.cancel()
            while len(self._aborted) > _ABORTS_KEPT:
                self._aborted.popitem(last=False)

    async def _beat(self) -> None:
        """Tell that this incarnation lives."""
        while True:
            now = self.clock.now_us()
            heartbeat = c.Heartbeat(
                runner=self.settings.name,
                incarnation=self.incarnation,
                occurred_at_us=now,
            )
            stream = f"runner/{self.settings.name}"
            envelope = Envelope(
                id=f"{stream}/{self.incarnation}/{now}",
                type=codec.type_name(heartbeat),
                stream=stream,
            )
            record = Record(
                topic=topics.COMMANDS,
                key=stream,
                envelope=envelope,
                body=codec.encode(heartbeat),
            )
            await self.log.append([record])
            await asyncio.sleep(self.settings.heartbeat_s)

    async def _keep_position(self, consumer: Consumer) -> None:
        """Keep the position up to which every dispatch has had its first report."""
        kept = self._read_to
        while True:
            await asyncio.sleep(_COMMIT_S)
            position = min(self._open) - 1 if self._open else self._read_to
            if position > kept:
                await consumer.commit(position)
                kept = position


def _unexpected(error: Exception) -> Failed:
    """Return the failure of an attempt that the engine's own part failed in."""
    message = f"Expected to carry the work out, but: {error!r}"
    failure = Failure(code="PluginFailure", message=message, kind="SYSTEM")
    return Failed(failure=failure, recoverable=True)

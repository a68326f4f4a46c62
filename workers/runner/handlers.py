"""How each kind of dispatch is handled: answered at once, or in the background."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flyteidl.core import tasks_pb2
from google.protobuf.message import DecodeError

from infra.eventlog.contract import Record
from schemas.ids import attempt_id
from schemas.messages import dispatches as d
from workers.plugins.plugin import Plugin, permanent_failure
from workers.plugins.pods import is_container
from workers.runner.attempts import AttemptTracker, Run
from workers.runner.cache_lookup import CacheLookups
from workers.runner.echo_tasks import EchoTasks
from workers.runner.input_resolver import InputResolver
from workers.runner.output_gatherer import OutputGatherer
from workers.runner.reports import Reports
from workers.runner.task_executor import Append, MarkHandled, TaskExecutor

ECHO_TYPE = "echo"


@dataclass(frozen=True, slots=True)
class Background:
    """Work that goes on after its dispatch was read, and appends its own reports.

    With an `attempt`, it is cancelled when that is aborted; `run` is what a plugin does
    for it. All work that has one, or
    `waits` for something outside of the runner, is cancelled when the runner stops.
    """

    work: Coroutine[None, None, None]
    attempt: str | None = None
    waits: bool = False
    run: Run | None = None

    @property
    def ends_with_runner(self) -> bool:
        """Return whether it is cancelled when the runner stops."""
        return self.waits or self.attempt is not None


Answer = Sequence[Record] | Background
Handler = Callable[[Any, MarkHandled], Answer]
"""Starts to handle a dispatch; each handler takes those of its own class."""


@dataclass(slots=True, kw_only=True)
class DispatchHandlers:
    """What handles dispatches; without a process plugin every container is echoed."""

    reports: Reports
    append: Append
    attempts: AttemptTracker
    tasks: TaskExecutor
    process: Plugin | None
    echo: EchoTasks
    inputs: InputResolver
    outputs: OutputGatherer
    cache: CacheLookups

    def by_kind(self) -> Mapping[type[d.Dispatch], Handler]:
        """Return the handler of each class of dispatches."""
        return {
            d.RunTask: self._run_task,
            d.ResolveInputs: self._resolve_inputs,
            d.LookUpCache: self._look_up_cache,
            d.GatherOutputs: self._gather_outputs,
        }

    def _run_task(self, dispatch: d.RunTask, mark_handled: MarkHandled) -> Answer:
        attempt = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
        if not self.attempts.accept(attempt, dispatch.dispatch_no):
            return ()
        try:
            template = tasks_pb2.TaskTemplate.FromString(dispatch.template)
        except DecodeError as error:
            return self._refuse(dispatch, "BadTaskDefinition", str(error))
        has_container = is_container(template)
        if template.type == ECHO_TYPE or (has_container and self.process is None):
            return self._run_echo(dispatch, template)
        if not has_container or self.process is None:
            found = f"Expected a supported task type, but got '{template.type}'"
            return self._refuse(dispatch, "UnsupportedTaskType", found)
        self.attempts.cancel(attempt)  # the run of an older dispatch
        run = Run(dispatch)
        work = self.tasks.run(run, self.process, mark_handled)
        return Background(work, attempt=attempt, run=run)

    def _run_echo(
        self, dispatch: d.RunTask, template: tasks_pb2.TaskTemplate
    ) -> Answer:
        result = self.echo.result_in_memory(template, dispatch)
        if result is None:
            return Background(self.tasks.run_echo(dispatch, self.echo, template))
        return (self.reports.ended(dispatch, result, self.reports.clock.now_us()),)

    def _refuse(self, dispatch: d.RunTask, code: str, message: str) -> Answer:
        result, now_us = permanent_failure(code, message), self.reports.clock.now_us()
        return (self.reports.ended(dispatch, result, now_us),)

    def _resolve_inputs(self, dispatch: d.ResolveInputs, _: MarkHandled) -> Answer:
        async def work() -> None:
            report = await self.inputs.resolve(dispatch)
            await self.append([self.reports.resolved(dispatch, report)])

        return Background(work())

    def _look_up_cache(self, dispatch: d.LookUpCache, _: MarkHandled) -> Answer:
        attempt = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)

        async def work() -> None:
            is_aborted = partial(self.attempts.is_aborted, attempt)
            async for report in self.cache.reports(dispatch, is_aborted):
                await self.append([self.reports.looked_up(dispatch, report)])

        return Background(work(), waits=True)

    def _gather_outputs(self, dispatch: d.GatherOutputs, _: MarkHandled) -> Answer:
        async def work() -> None:
            report = await self.outputs.gather(dispatch)
            await self.append([self.reports.gathered(dispatch, report)])

        return Background(work())

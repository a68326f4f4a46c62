"""Runs attempts of tasks by a plugin, and reports when they start and end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flyteidl.core import tasks_pb2

from infra.blobs.files import Blobs
from infra.clock import Clock
from infra.eventlog.contract import Record
from schemas.ids import checkpoint_path
from schemas.messages.dispatches import RunTask
from schemas.paths import path_in
from workers.plugins.plugin import (
    Failed,
    MayStart,
    Plugin,
    Result,
    Work,
    unexpected_failure,
)
from workers.runner.attempts import Run
from workers.runner.echo_tasks import EchoTasks
from workers.runner.outage_policy import OutagePolicy, log_unexpected
from workers.runner.reports import Reports

Append = Callable[[Sequence[Record]], Awaitable[None]]
"""Appends reports to the log; durable on return."""
MarkHandled = Callable[[], None]
"""Marks a dispatch as handled: it was reported on and need not be read again."""


@dataclass(slots=True, kw_only=True)
class TaskExecutor:
    """Runs attempts for one incarnation of a runner.

    An attempt that ends within `report_delay_s` sends one report, others send two.
    """

    blobs: Blobs
    clock: Clock
    reports: Reports
    append: Append
    report_delay_s: float
    may_start: MayStart

    async def run(self, run: Run, plugin: Plugin, mark_handled: MarkHandled) -> None:
        """Run one attempt by a plugin; cancelling this aborts the attempt.

        It reports nothing then, unless it was stopped here, with a failure.
        """
        dispatch = run.dispatch
        work, started_at_us = self._work(dispatch), self.clock.now_us()
        try:
            result, started_at_us = await self._run(run, work, plugin, mark_handled)
        except asyncio.CancelledError:
            await _logged(plugin.abort(work), dispatch)
            if run.failure is None:
                raise
            result = run.failure
        except Exception as error:  # noqa: BLE001 - logged, and reported
            log_unexpected("plugin_failed", error, dispatch.generated_name)
            await _logged(plugin.abort(work), dispatch)
            result = unexpected_failure(error)
        finally:
            await _logged(plugin.finalize(work), dispatch)
        await self.append([self.reports.ended(dispatch, result, started_at_us)])

    async def _run(
        self, run: Run, work: Work, plugin: Plugin, mark_handled: MarkHandled
    ) -> tuple[Result, int]:
        """Return the result, and when the attempt started."""
        outages = OutagePolicy(self.clock)
        await outages.wait_to_start()
        await self.may_start()
        began_s = self.clock.monotonic()
        started = await plugin.start(work)
        run.has_started = True
        started_at_us = self.clock.now_us()
        if isinstance(started, Failed):
            return outages.explain(started, began_s), started_at_us
        watching = asyncio.create_task(plugin.watch(work))
        try:
            await self._wait_for_fast_end(run, watching)
            if not watching.done():
                report = self.reports.started(work.dispatch, started_at_us, started)
                await self.append([report])
                mark_handled()
                run.mark_reported()
            return outages.explain(await watching, began_s), started_at_us
        finally:
            watching.cancel()

    async def _wait_for_fast_end(
        self, run: Run, watching: asyncio.Task[Result]
    ) -> None:
        """Return after the delay, once it has ended, or if it must report now."""
        ends: set[asyncio.Future[Any]] = {watching, run.hurry}
        with suppress(TimeoutError):
            async with self.clock.timeout(self.report_delay_s):
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)

    async def run_echo(
        self, dispatch: RunTask, echo: EchoTasks, template: tasks_pb2.TaskTemplate
    ) -> None:
        """Run an echo task that reads or writes blobs."""
        started_at_us = self.clock.now_us()
        try:
            result = await echo.run(self._work(dispatch), template)
        except Exception as error:  # noqa: BLE001 - logged, and reported
            log_unexpected("echo_failed", error, dispatch.generated_name)
            result = unexpected_failure(error)
        await self.append([self.reports.ended(dispatch, result, started_at_us)])

    def _work(self, dispatch: RunTask) -> Work:
        """Return the work of a run; no two runs write the same files."""
        run = f"{dispatch.dispatch_no}-{self.reports.incarnation}"
        raw = self.blobs.uri(dispatch.raw_output_prefix.removeprefix("file://"))
        previous = dispatch.previous_checkpoint
        return Work(
            dispatch=dispatch,
            input_uri=self.blobs.uri(dispatch.input_path),
            output_prefix=path_in(self.blobs.uri(dispatch.output_path), run),
            raw_output_prefix=f"{raw}/{run}",
            checkpoint=checkpoint_path(raw),
            previous_checkpoint=self.blobs.uri(previous) if previous else None,
            may_start=self.may_start,
        )


async def _logged(release: Awaitable[None], dispatch: RunTask) -> None:
    """Release what an attempt held; an error there doesn't change its result."""
    try:
        await release
    except Exception as error:  # noqa: BLE001 - logged
        log_unexpected("plugin_failed", error, dispatch.generated_name)

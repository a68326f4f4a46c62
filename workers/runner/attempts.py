"""The attempts that a runner knows of: which run here, which must not be started."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.ids import attempt_id
from schemas.messages.dispatches import RunTask
from workers.plugins.plugin import Failed

_REMEMBERED_MAX = 100_000

_V = TypeVar("_V")


def _future() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


def dispatch_key(dispatch: RunTask) -> tuple[str, int]:
    """Return the attempt's id, and the number of its dispatch."""
    attempt = attempt_id(dispatch.stream, dispatch.node_id, dispatch.attempt)
    return attempt, dispatch.dispatch_no


@dataclass(slots=True, eq=False)
class Run:
    """One dispatch of an attempt that a plugin runs here, or will once it may.

    `hurry` is set when its start must be reported at once, `reported` when its first
    report is on the log, or when it has ended. With a `failure` it was stopped here,
    and that is its result.
    """

    dispatch: RunTask
    has_started: bool = False
    hurry: asyncio.Future[None] = field(default_factory=_future)
    reported: asyncio.Future[None] = field(default_factory=_future)
    failure: Failed | None = None

    def report_now(self) -> None:
        """Let it report its start without waiting for a fast end."""
        if not self.hurry.done():
            self.hurry.set_result(None)

    def mark_reported(self) -> None:
        """Note that its first report is on the log."""
        if not self.reported.done():
            self.reported.set_result(None)


@dataclass(slots=True)
class AttemptTracker:
    """Attempts by their ids (`schemas.ids.attempt_id`).

    A dispatch is stale if its attempt was aborted, if it was reported on, or if the
    same or a newer dispatch of the attempt was accepted. Only the latest aborts and
    dispatches are remembered. `_reported` has the newest dispatch that was reported on
    of each attempt whose dispatches are still to be read.
    """

    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _runs: dict[asyncio.Task[None], Run] = field(default_factory=dict)
    _newest: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _aborted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _reported: dict[str, int] = field(default_factory=dict)

    @property
    def running(self) -> Collection[str]:
        """Return the attempts that plugins run here."""
        return self._running.keys()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks that run them."""
        return list(self._running.values())

    @property
    def started(self) -> list[Run]:
        """Return the runs that plugins have started: they may have leases."""
        return [run for run in self._runs.values() if run.has_started]

    @property
    def reported(self) -> Collection[str]:
        """Return attempts that were reported on, and have dispatches to be read."""
        return self._reported.keys()

    def accept(self, attempt: str, dispatch_no: int) -> bool:
        """Note a dispatch that was read; return False if it is stale."""
        newest = max(self._newest.get(attempt, -1), self._settle(attempt, dispatch_no))
        _remember(self._newest, attempt, max(newest, dispatch_no))
        return attempt not in self._aborted and newest < dispatch_no

    def _settle(self, attempt: str, dispatch_no: int) -> int:
        """Return the newest dispatch that was reported on, -1 for none.

        It is needed no more once it was read, or a newer one.
        """
        reported = self._reported.get(attempt, -1)
        if dispatch_no >= reported >= 0:
            del self._reported[attempt]
        return reported

    def forget(self, attempt: str, dispatch_no: int) -> None:
        """Accept a dispatch again that was not started after all."""
        if self._newest.get(attempt) == dispatch_no:
            del self._newest[attempt]

    def add_running(
        self, attempt: str, task: asyncio.Task[None], run: Run | None = None
    ) -> None:
        """Note the task that runs an attempt until it is done."""
        self._running[attempt] = task
        if run is not None:
            self._runs[task] = run
        task.add_done_callback(lambda _: self._remove(attempt, task))

    def _remove(self, attempt: str, task: asyncio.Task[None]) -> None:
        run = self._runs.pop(task, None)
        if run is not None:
            run.mark_reported()
        if self._running.get(attempt) is task:
            del self._running[attempt]

    def cancel(self, attempt: str) -> None:
        """Cancel the task that runs an attempt, if there is one."""
        task = self._running.get(attempt)
        if task is not None:
            task.cancel()

    def cancel_dispatch(self, attempt: str, dispatch_no: int) -> None:
        """Cancel the task that runs a dispatch; other ones of the attempt go on."""
        for task, run in self._runs.items():
            if dispatch_key(run.dispatch) == (attempt, dispatch_no):
                task.cancel()

    def stop_started(self, failure: Failed) -> None:
        """Stop what plugins have started: that is its result."""
        for task, run in self._runs.items():
            if run.has_started and run.failure is None:
                run.failure = failure
                task.cancel()

    def mark_aborted(self, attempt: str) -> None:
        """Note an abort: no dispatch of the attempt is accepted any more."""
        _remember(self._aborted, attempt, None)

    def is_aborted(self, attempt: str) -> bool:
        """Return whether an attempt was aborted, as far as is remembered."""
        return attempt in self._aborted

    def mark_reported(self, attempt: str, dispatch_no: int) -> None:
        """Note that a runner has reported on a dispatch that is still to be read."""
        newest = self._reported.get(attempt, -1)
        self._reported[attempt] = max(newest, dispatch_no)

    def forget_reported(self) -> None:
        """Forget reports: the dispatches are another runner's now, or read again."""
        self._reported.clear()


def _remember(memory: OrderedDict[str, _V], attempt: str, value: _V) -> None:
    memory[attempt] = value
    memory.move_to_end(attempt)
    while len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)

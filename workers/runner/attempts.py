"""The attempts that a runner knows of: which run here, which must not be started."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar

_REMEMBERED_MAX = 100_000

_V = TypeVar("_V")


@dataclass(slots=True)
class AttemptTracker:
    """Attempts by their ids (`schemas.ids.attempt_id`).

    A dispatch is stale if its attempt was aborted, if it was reported on, or if the
    same or a newer dispatch of the attempt was accepted. Only the latest aborts and
    dispatches are remembered.
    """

    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _newest: OrderedDict[str, int] = field(default_factory=OrderedDict)
    _aborted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _reported: set[tuple[str, int]] = field(default_factory=set)

    @property
    def running(self) -> Collection[str]:
        """Return the attempts that plugins run here."""
        return self._running.keys()

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """Return the tasks that run them."""
        return list(self._running.values())

    def accept(self, attempt: str, dispatch_no: int) -> bool:
        """Note a dispatch that was read; return False if it is stale."""
        newest = self._newest.get(attempt)
        if (
            attempt in self._aborted
            or (newest is not None and newest >= dispatch_no)
            or (attempt, dispatch_no) in self._reported
        ):
            return False
        _remember(self._newest, attempt, dispatch_no)
        return True

    def add_running(self, attempt: str, task: asyncio.Task[None]) -> None:
        """Note the task that runs an attempt until it is done."""
        self._running[attempt] = task
        task.add_done_callback(lambda _: self._remove(attempt, task))

    def _remove(self, attempt: str, task: asyncio.Task[None]) -> None:
        if self._running.get(attempt) is task:
            del self._running[attempt]

    def cancel(self, attempt: str) -> None:
        """Cancel the task that runs an attempt, if there is one."""
        task = self._running.get(attempt)
        if task is not None:
            task.cancel()

    def mark_aborted(self, attempt: str) -> None:
        """Note an abort: no dispatch of the attempt is accepted any more."""
        _remember(self._aborted, attempt, None)

    def is_aborted(self, attempt: str) -> bool:
        """Return whether an attempt was aborted, as far as is remembered."""
        return attempt in self._aborted

    def mark_reported(self, attempt: str, dispatch_no: int) -> None:
        """Note that a runner has reported on a dispatch."""
        self._reported.add((attempt, dispatch_no))


def _remember(memory: OrderedDict[str, _V], attempt: str, value: _V) -> None:
    memory[attempt] = value
    memory.move_to_end(attempt)
    while len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)

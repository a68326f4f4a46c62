"""An event loop in virtual time: nothing waits, the clock goes on to what is next.

Threads are none: what would run in one runs at once. So a run depends on its seed only.
The real Postgres may be spoken to: its answers are waited for, while time stands still.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from infra.clock import SystemClock
from tests.support.engine import NOON_US
from tests.support.virtual.process import CURRENT, STARTED, Process

_ANSWER_S = 30.0
_SECOND_US = 1_000_000

_T = TypeVar("_T")


class DeadlockError(Exception):
    """Everybody waits for somebody else: nothing is left to happen."""


class _Selector(selectors.DefaultSelector):
    """Moves time on instead of waiting for it."""

    loop: VirtualLoop

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, move time on."""
        has_sockets = len(self.get_map()) > 1  # besides the loop's own
        found = super().select(_ANSWER_S if has_sockets and timeout != 0 else 0)
        if found or timeout == 0:
            return found
        if timeout is None:
            raise DeadlockError
        self.loop.now_s += max(timeout, 0.0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """The event loop; `now_s` is the time of the world."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Return the virtual time."""
        return self.now_s

    def call_soon(
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Call back in the next turn, if its process is running then."""
        if context is None:  # an empty one is false
            context = contextvars.copy_context()
        process = context.get(CURRENT)
        if process is None:
            return super().call_soon(callback, *args, context=context)
        cell: list[asyncio.Handle] = []
        handle = super().call_soon(
            process.run, cell, context, callback, *args, context=context
        )
        cell.append(handle)
        return handle

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a time, if its process is running then."""
        if context is None:  # an empty one is false
            context = contextvars.copy_context()
        process = context.get(CURRENT)
        if process is None:
            return super().call_at(when, callback, *args, context=context)
        cell: list[asyncio.Handle] = []
        handle = super().call_at(
            when, process.run, cell, context, callback, *args, context=context
        )
        cell.append(handle)
        return handle

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Run a function at once."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - the caller's, whatever it is
            done.set_exception(error)
        return done


def now_us() -> int:
    """Return the time of day, as the machine of the process of now has it."""
    process: Process | None = CURRENT.get()
    true_us = NOON_US + round(asyncio.get_running_loop().time() * _SECOND_US)
    return true_us + (process.clock_us if process else 0)


@contextmanager
def virtual_clocks() -> Iterator[None]:
    """Let every clock of the engine show the loop's time, meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemClock, "now_us", lambda _: now_us())
        patch.setattr(
            SystemClock, "monotonic", lambda _: asyncio.get_running_loop().time()
        )
        yield


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end in virtual time; what is left behind is cancelled."""
    loop = VirtualLoop()
    errors: list[Exception] = []
    loop.set_exception_handler(lambda _, told: errors.append(told.get("exception")))
    asyncio.set_event_loop(loop)
    try:
        with virtual_clocks():
            try:
                found = loop.run_until_complete(main)
                assert errors == []
                return found
            finally:
                loop.run_until_complete(_end_all())
                loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def _end_all() -> None:
    """Cancel all tasks, of the frozen and the dead too, until none is left."""
    for process in STARTED:
        process.end()
    STARTED.clear()
    me = asyncio.current_task()
    for _ in range(100):
        tasks = [task for task in asyncio.all_tasks() if task is not me]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=60)

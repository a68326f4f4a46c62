"""An event loop in virtual time: nothing waits, the clock goes on to what is next.

Threads are none: what would run in one runs at once. So a run depends on its seed only.
The real Postgres may be spoken to: its answers are waited for, while time stands still.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from infra.clock import SystemClock
from tests.support.engine import NOON_US
from tests.support.virtual.activity import runaway, running
from tests.support.virtual.process import CURRENT, STARTED, Process

_ANSWER_S = 5.0
_TOGETHER_S, _TOGETHER_MAX = 0.001, 20
_SECOND_US = 1_000_000
STEPS_MAX = 1_000_000
"""Turns of the loop that a run may take: the longest take a fifth of that."""
_LAST_STEPS = 1000
"""So many turns are watched, to say what goes on in a run that doesn't end."""

_T = TypeVar("_T")


class DeadlockError(Exception):
    """Everybody waits for somebody else: nothing is left to happen."""


class _Selector(selectors.DefaultSelector):
    """Moves time on instead of waiting for it.

    Answers of Postgres come once nothing else is to be done, those of all who wait
    together: how fast it is changes nothing. Who gets none is `blocked`, by the locks
    of a process that is frozen: time goes on.
    """

    loop: VirtualLoop
    blocked: frozenset[int] = frozenset()

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, move time on."""
        if timeout == 0:
            return []
        if len(self.get_map()) > 1 and (found := self._answers()):
            return found
        if timeout is None:
            raise DeadlockError
        self.loop.now_s += max(timeout, 0.0)
        return []

    def _answers(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Return all answers, or those that come: some wait for locks of others."""
        own, *waiting = self.get_map()
        is_blocked = self.blocked.issuperset(waiting)
        found = super().select(0 if is_blocked else _ANSWER_S)
        if not found:
            self.blocked = frozenset(waiting)
            return []
        self.blocked = frozenset()
        for _ in range(_TOGETHER_MAX):
            if len(found) >= len(waiting):
                break
            time.sleep(_TOGETHER_S)
            found = super().select(0)
        order = [own, *waiting]
        return sorted(found, key=lambda one: order.index(one[0].fd))


class VirtualLoop(asyncio.SelectorEventLoop):
    """The event loop; `now_s` is the time of the world.

    After `steps_max` turns it raises RunawayError: a run that never ends would hold up
    all tests, however fast its time goes by.
    """

    _ready: Collection[asyncio.Handle]

    def __init__(self, steps_max: int = STEPS_MAX) -> None:
        self.now_s = 0.0
        self.steps = 0
        self.steps_max = steps_max
        self._seen: Counter[str] = Counter()
        self._watched_since_s = 0.0
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        """Return the virtual time."""
        return self.now_s

    def _run_once(self) -> None:
        """Take a turn, unless there were too many."""
        self.steps += 1
        left = self.steps_max - self.steps
        if left <= _LAST_STEPS:
            if left == _LAST_STEPS:
                self._watched_since_s = self.now_s
            self._seen.update(running(self._ready))
        if left <= 0:
            steps, self.steps = self.steps, 0  # for what is left to be ended
            passed_s = self.now_s - self._watched_since_s
            raise runaway(self.now_s, steps, passed_s, self._seen)
        super()._run_once()  # type: ignore[misc]  # asyncio's own

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

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call back when something can be read, if its process is running then."""
        process: Process | None = CURRENT.get()
        if process is not None:
            process.note_socket(fd)
        super().add_reader(fd, self._called, self.remove_reader, fd, callback, *args)

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:
        """Call back when something can be written, if its process is running then."""
        super().add_writer(fd, self._called, self.remove_writer, fd, callback, *args)

    def _called(
        self,
        remove: Callable[[Any], object],
        fd: Any,
        callback: Callable[..., object],
        *args: Any,
    ) -> None:
        """Call back; who is frozen would be called again and again."""
        process, context = CURRENT.get(), contextvars.copy_context()
        if process is None:
            callback(*args)
            return
        if process.is_frozen or process.is_dead:
            remove(fd)
        handle = asyncio.Handle(callback, args, self, context)
        process.run([handle], context, callback, *args)

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


def run(main: Coroutine[Any, Any, _T], steps_max: int = STEPS_MAX) -> _T:
    """Run to the end in virtual time; what is left behind is cancelled.

    Raises RunawayError after so many turns of the loop.
    """
    loop = VirtualLoop(steps_max)
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

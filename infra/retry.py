"""Retries of what fails for a while, or is cancelled though nobody asked for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import TransientError
from infra.outages import Attempts

RETRY_S = 0.2
RETRY_S_MAX = 1.0
"""Short, so that every part goes on within about a second after an outage."""

_T = TypeVar("_T")


class StrayCancellationError(TransientError):
    """What was waited for was cancelled, though nobody cancelled who waits."""


async def uncancelled(work: Awaitable[_T]) -> _T:
    """Return the result of work; raises StrayCancellationError.

    A library may let the cancellation of a task of its own reach its caller. That would
    end the caller's loop without a word: a task group takes a cancelled task for one
    that was cancelled on purpose.
    """
    try:
        return await work
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        text = "What was waited for was cancelled by its library"
        raise StrayCancellationError(text) from error


async def run_endless(loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that only its owner ends; raises StrayCancellationError.

    It begins with the task that runs it: a task may be cancelled before that.
    """
    await uncancelled(loop())


async def retry_transient(
    action: Callable[[], Awaitable[_T]],
    event: str,
    retry_s: float = RETRY_S,
    retry_s_max: float = RETRY_S_MAX,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> _T:
    """Return the result of an action, repeated while it raises TransientError.

    There is no last attempt: it is for parts of the engine, which can't go on without
    the result. An outage is logged when it begins and ends (`infra/outages.py`), other
    failures as `event`; the delay begins at `retry_s` and doubles up to `retry_s_max`.
    Other errors are raised at once; a cancellation that nobody asked for is a failure.
    """
    attempts = Attempts(event, clock=clock)
    try:
        while True:
            try:
                return await uncancelled(action())
            except TransientError as error:
                attempts.failed(error)
            await clock.sleep(retry_s)
            retry_s = min(retry_s * 2, retry_s_max)
    finally:
        attempts.worked()

"""Supervision: a part that fails ends the engine; signals stop it in order."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager

import structlog

from infra.errors import PermanentError
from infra.retry import uncancelled

log_ = structlog.get_logger(__name__)

STOP_S_MAX = 9.0
"""A stop that takes longer is cut short: what isn't committed is redone later."""


class PartEndedError(Exception):
    """A part of the engine ended unexpectedly."""


async def watch(
    name: str, part: Coroutine[None, None, None], stopping: asyncio.Event
) -> None:
    """Run a part; raises PartEndedError if it ends before the engine stops.

    Raises PermanentError, which tells what is wrong outside, as it is.
    """
    try:
        await uncancelled(part)
    except Exception as raised:
        error = _only(raised)
        if isinstance(error, PermanentError):
            raise error from None
        log_.exception("part_failed", part=name)
        raise PartEndedError(f"Expected {name} to run on, but: {error}") from error
    if not stopping.is_set():
        raise PartEndedError(f"Expected {name} to run on, but it returned")


def _only(error: Exception) -> Exception:
    """Return the only error of a group, as it was raised in it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@contextmanager
def signals(stopping: asyncio.Event) -> Iterator[None]:
    """Set `stopping` on SIGTERM or SIGINT; a second one exits at once."""
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []

    def take(number: signal.Signals) -> None:
        if taken:
            os._exit(128 + number)
        taken.append(number)
        stopping.set()
        _cut_short_after(STOP_S_MAX)
        log_.info("stopping", signal=number.name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, take, number)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _cut_short_after(seconds: float) -> None:
    def cut() -> None:
        log_.error("shutdown_timed_out", after_s=seconds)
        os._exit(1)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()

"""Retries of what fails for a while, with growing delays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import TransientError
from infra.outages import Attempts

RETRY_S = 0.2
RETRY_S_MAX = 1.0
"""Short, so that every part goes on within about a second after an outage."""

_T = TypeVar("_T")


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
    Other errors are raised at once.
    """
    attempts = Attempts(event, clock=clock)
    try:
        while True:
            try:
                return await action()
            except TransientError as error:
                attempts.failed(error)
            await clock.sleep(retry_s)
            retry_s = min(retry_s * 2, retry_s_max)
    finally:
        attempts.worked()

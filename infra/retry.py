"""Retries of what fails for a while, with growing delays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import TransientError

log_ = structlog.get_logger(__name__)

RETRY_S = 0.2
RETRY_S_MAX = 5.0

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
    the result. Each failure is logged as `event`; the delay begins at `retry_s` and
    doubles up to `retry_s_max`. Other errors are raised at once.
    """
    while True:
        try:
            return await action()
        except TransientError as error:
            log_.warning(event, error=str(error), retry_s=retry_s)
            await clock.sleep(retry_s)
            retry_s = min(retry_s * 2, retry_s_max)

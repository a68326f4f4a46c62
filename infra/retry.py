"""Patience: what passes by itself is waited out, with a word and a growing pause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from infra.errors import TransientError

log_ = structlog.get_logger(__name__)

RETRY_S = 0.2
RETRY_S_MAX = 5.0

_T = TypeVar("_T")


async def retry_transient(
    action: Callable[[], Awaitable[_T]],
    what: str,
    retry_s: float = RETRY_S,
    retry_s_max: float = RETRY_S_MAX,
) -> _T:
    """Do it until it is done; for engine parts, whose work stands still meanwhile.

    Only Transient is waited out. `what` names the wait in the log.
    """
    while True:
        try:
            return await action()
        except TransientError as error:
            log_.warning(what, error=str(error), wait_s=retry_s)
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, retry_s_max)

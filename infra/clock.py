"""The clock: time of day, monotonic time and waiting, so that tests can own time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Final, Protocol


class Clock(Protocol):
    """What code that reads the time or waits is given."""

    def now_us(self) -> int:
        """Return the time of day: microseconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; they never run backwards."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after a delay."""
        ...

    def timeout(self, delay_s: float) -> AbstractAsyncContextManager[object]:
        """Cancel the block after a delay; it then raises TimeoutError."""
        ...


class SystemClock:
    """The machine's clock; the event loop does the waiting."""

    def now_us(self) -> int:
        """Return the time of day: microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start; they never run backwards."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Return after a delay."""
        await asyncio.sleep(delay_s)

    def timeout(self, delay_s: float) -> AbstractAsyncContextManager[object]:
        """Cancel the block after a delay; it then raises TimeoutError."""
        return asyncio.timeout(delay_s)


SYSTEM_CLOCK: Final[Clock] = SystemClock()


async def wait_up_to(
    delay_s: float, tasks: Collection[asyncio.Future[Any]], clock: Clock
) -> None:
    """Return once all tasks have ended, or after a delay; they aren't cancelled."""
    with suppress(TimeoutError):
        async with clock.timeout(delay_s):
            await asyncio.wait(tasks)

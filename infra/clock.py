"""The clock: time of day, monotonic time and waiting, so that tests can own time."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol


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

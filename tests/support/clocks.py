"""Clocks of tests: one that is set, one that ticks when read, one that owns time."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from infra.clock import SystemClock
from tests.support.engine import NOON_US

_SECOND_US = 1_000_000


@dataclass(slots=True)
class FixedClock(SystemClock):
    """A time of day that a test sets; waits are real."""

    at_us: int = NOON_US

    def now_us(self) -> int:
        """Return the time that was set."""
        return self.at_us


@dataclass(slots=True)
class TickingClock(SystemClock):
    """A time of day that moves on with each look, and can be set; waits are real."""

    now: int = NOON_US

    def now_us(self) -> int:
        """Return one microsecond more each time."""
        self.now += 1
        return self.now


@dataclass(slots=True)
class SteppedClock(TickingClock):
    """A clock of which a test moves on either time; waits are real."""

    passed_s: float = 0.0

    def monotonic(self) -> float:
        """Return the time that the test let pass."""
        return self.passed_s


@dataclass(slots=True)
class VirtualClock:
    """Time that only `advance` moves: who sleeps or has a timeout waits for that.

    No real time passes, so that a run is the same on every machine. The time of day can
    be set, which wakes nobody.
    """

    at_us: int = NOON_US
    elapsed_us: int = 0
    _alarms: list[tuple[int, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def now_us(self) -> int:
        """Return the virtual time of day."""
        return self.at_us

    def monotonic(self) -> float:
        """Return the seconds that time has moved on."""
        return self.elapsed_us / _SECOND_US

    async def sleep(self, delay_s: float) -> None:
        """Return once time has moved on by a delay; give others a turn at least."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        self._set_alarm(delay_s, wake)
        await woken

    @asynccontextmanager
    async def timeout(self, delay_s: float) -> AsyncIterator[None]:
        """Cancel the block once time has moved on by a delay: raises TimeoutError."""
        inside = True
        async with asyncio.timeout(None) as scope:

            def expire() -> None:
                if inside:
                    scope.reschedule(0.0)

            if delay_s <= 0:
                expire()
            else:
                self._set_alarm(delay_s, expire)
            try:
                yield
            finally:
                inside = False

    def advance(self, by_us: int) -> None:
        """Move time on, and wake who has waited long enough, in order."""
        self.at_us += by_us
        self.elapsed_us += by_us
        while self._alarms and self._alarms[0][0] <= self.elapsed_us:
            heapq.heappop(self._alarms)[2]()

    def jump(self, by_us: int) -> None:
        """Set the time of day forward or back; no time passes."""
        self.at_us += by_us

    def _set_alarm(self, delay_s: float, wake: Callable[[], None]) -> None:
        due_us = self.elapsed_us + max(1, round(delay_s * _SECOND_US))
        heapq.heappush(self._alarms, (due_us, next(self._numbers), wake))

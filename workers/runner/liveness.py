"""Liveness: whether the owners of partitions have heard this runner lately enough.

Once they may have given its attempts to others, it must not start anything more: they
would run twice.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from infra.clock import Clock

_SECOND_US = 1_000_000
_BEATS_MIN = 3
"""Heartbeats within the timeout, whatever their interval is set to."""


@dataclass(slots=True, kw_only=True)
class Liveness:
    """When this runner was heard last; it hasn't been before its first heartbeat.

    The time is that at which an acknowledged heartbeat was sent. The time of day counts
    as well: a machine that was suspended may have a monotonic clock that stood still.
    """

    clock: Clock
    timeout_s: float
    _heard_s: float | None = None
    _heard_us: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def left_s(self) -> float:
        """Return how long it stays heard by the monotonic clock; 0 if it isn't."""
        if self._heard_s is None:
            return 0.0
        return max(self._heard_s + self.timeout_s - self.clock.monotonic(), 0.0)

    @property
    def is_heard(self) -> bool:
        """Return whether nobody can have given its attempts to others yet."""
        passed_us = self.clock.now_us() - self._heard_us
        return self.left_s > 0 and passed_us < self.timeout_s * _SECOND_US

    def mark_heard(self, at_s: float, at_us: int) -> None:
        """Note that a heartbeat which was sent then is on the log."""
        self._heard_s, self._heard_us = at_s, at_us
        if self.is_heard:
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def wait(self) -> None:
        """Return once this runner is heard; asks for a heartbeat at once."""
        while not self.is_heard:
            self._wanted.set()
            await self._news.wait()

    async def pause(self, interval_s: float) -> None:
        """Return when the next heartbeat is due, or is asked for."""
        with suppress(TimeoutError):
            async with self.clock.timeout(min(interval_s, self.timeout_s / _BEATS_MIN)):
                await self._wanted.wait()
        self._wanted.clear()

"""Backpressure: a propeller doesn't outrun read models that share its process.

Clients wait for the read models: with a long lead each of them would wait for what all
the others have asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from infra.clock import SYSTEM_CLOCK, Clock

_POLL_S = 0.002


@dataclass(slots=True)
class ProjectionLagThrottle:
    """Compares the events committed here with those projected, since the start.

    `applied` counts the latter; without it there is nothing to wait for. Read models
    that are stuck must not stop the work: after `polls_max` looks the difference
    counts as caught up.
    """

    applied: Callable[[], int] | None = None
    ahead_max: int = 2000
    polls_max: int = 500
    committed: int = 0
    clock: Clock = SYSTEM_CLOCK
    _before: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with read models that have caught up."""
        self._before = self.applied() if self.applied is not None else 0

    @property
    def ahead(self) -> int:
        """Return how many events aren't projected yet."""
        if self.applied is None:
            return 0
        return self.committed - (self.applied() - self._before)

    async def wait(self) -> None:
        """Wait until few events aren't projected."""
        for _ in range(self.polls_max):
            if self.ahead <= self.ahead_max:
                return
            await self.clock.sleep(_POLL_S)
        self._before -= self.ahead

"""Pace: a propeller that shares its process with the views doesn't outrun them.

What it would be ahead by, clients would wait for: each of them, whatever the others
asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from infra.clock import SYSTEM_CLOCK, Clock

_GLANCE_S = 0.002


@dataclass(slots=True)
class ProjectionLagThrottle:
    """What was put on the events here against what the views took up since the start.

    `applied` counts the latter; without it there is nothing to wait for. Views that
    are stuck must not stop the work: whoever has waited long begins to count anew.
    """

    applied: Callable[[], int] | None = None
    ahead_max: int = 2000
    glances: int = 500
    committed: int = 0
    clock: Clock = SYSTEM_CLOCK
    _before: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with views that have caught up."""
        self._before = self.applied() if self.applied is not None else 0

    @property
    def ahead(self) -> int:
        """Return how many events the views haven't taken up yet."""
        if self.applied is None:
            return 0
        return self.committed - (self.applied() - self._before)

    async def keep(self) -> None:
        """Wait until the views are near."""
        for _ in range(self.glances):
            if self.ahead <= self.ahead_max:
                return
            await self.clock.sleep(_GLANCE_S)
        self._before -= self.ahead

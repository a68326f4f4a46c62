"""The projector: applies events to the read models, with its offset in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from infra.database import Pool
from infra.log import Log


class Clock(Protocol):
    """The time of day."""

    def now_us(self) -> int:
        """Return microseconds since 1970, UTC."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much one transaction takes, and how long is waited or kept."""

    events_max: int = 2000
    retry_s: float = 0.2
    retry_s_max: float = 5.0
    outcomes_kept_s: float = 3600.0
    trim_s: float = 60.0


@dataclass(slots=True)
class Progress:
    """How far a projector has come; the gateway shows it as metrics."""

    applied: int = 0
    batches: int = 0
    lag_us: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    stopped: str = ""


@dataclass(slots=True)
class Projector:
    """The loop over the events topic."""

    log: Log
    pool: Pool
    clock: Clock
    name: str = "views"
    bounds: Bounds = Bounds()
    progress: Progress = field(default_factory=Progress)

    async def run(self, stop: asyncio.Event) -> None:
        """Apply events until `stop`; raises UndecodableMessage for an unknown one."""
        raise NotImplementedError


async def rebuild(
    log: Log, pool: Pool, progress: Callable[[int, int], None] | None = None
) -> int:
    """Empty the read models of events and apply the whole log; return the events.

    `progress` is told the position reached and the last one. No projector may run.
    """
    raise NotImplementedError

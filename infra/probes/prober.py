"""The prober: asks every dependency of a process at a short interval."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Dependency
from infra.outages import OUTAGES, Outages
from infra.setting_sections.processes import HealthSettings

_STALE_S = 5.0
"""A question without an answer for so long is asked again, over a new connection."""
_CLOSE_S = 1.0


class Probe(Protocol):
    """Asks one dependency."""

    async def check(self) -> None:
        """Return if it answers and works; raises any error that says why not."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(slots=True, kw_only=True)
class Prober:
    """Asks each dependency without pause, and records in `outages` what it finds."""

    probes: Mapping[Dependency, Probe]
    settings: HealthSettings
    outages: Outages = field(default_factory=lambda: OUTAGES)
    clock: Clock = SYSTEM_CLOCK

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask within the block."""
        tasks = [
            asyncio.create_task(self._follow(what, probe), name=f"probe-{what}")
            for what, probe in self.probes.items()
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            closing = [asyncio.ensure_future(p.close()) for p in self.probes.values()]
            if tasks:
                await asyncio.wait([*tasks, *closing], timeout=_CLOSE_S)
            self.outages.forget_probes()

    async def _follow(self, what: Dependency, probe: Probe) -> None:
        asked: asyncio.Task[None] | None = None
        asked_s = 0.0
        try:
            while True:
                if asked is None:
                    asked = asyncio.create_task(probe.check())
                    asked.add_done_callback(_retrieve_error)
                    asked_s = self.clock.monotonic()
                why = await self._answer(asked)
                self.outages.probed(what, why, self.clock)
                waited_s = self.clock.monotonic() - asked_s
                if asked.done() or waited_s > _STALE_S:
                    asked.cancel()
                    asked = None
                    await self.clock.sleep(self.settings.probe_interval_s)
        finally:
            if asked is not None:
                asked.cancel()

    async def _answer(self, asked: asyncio.Task[None]) -> str | None:
        """Return why a dependency can't be used; None if it can.

        It is waited for twice: after a pause of the whole process the first time limit
        has passed, though the answer may be there.
        """
        for _ in range(2):
            await asyncio.wait({asked}, timeout=self.settings.probe_timeout_s / 2)
        if not asked.done():
            return f"no answer within {self.settings.probe_timeout_s:g} s"
        if asked.cancelled():
            return "no answer"
        error = asked.exception()
        return None if error is None else str(error) or repr(error)


def _retrieve_error(asked: asyncio.Task[None]) -> None:
    if not asked.cancelled():
        asked.exception()

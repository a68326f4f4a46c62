"""Outages: what this process can't reach now, since when, and why.

There is one line in the log when something goes away, and one when it is back. Two
kinds of evidence count: probes (`infra/probes`), and loops that retry. While something
is probed, a loop's word counts only once it has failed for long: what it needs answers
then, but doesn't work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import Dependency, TransientError

log_ = structlog.get_logger(__name__)

FAILING_S = 5.0
"""A loop that fails for so long has found an outage that the probes don't see."""
STALE_S = 30.0
"""A loop that hasn't failed again for so long is busy; it isn't failing."""
REMIND_S = 60.0
"""Interval of lines about failures that are no outage of a known dependency."""
_WHY_MAX = 300


@dataclass(frozen=True, slots=True)
class Outage:
    """A dependency that is away: since when (µs since 1970), and why."""

    what: Dependency
    since_us: int
    why: str

    def text(self) -> str:
        """Return a sentence about it."""
        return f"Waiting for {self.what}: {self.why}"


@dataclass(slots=True)
class _Failing:
    """What a loop that retries says: when it failed first and last, and why."""

    what: Dependency
    first_s: float
    last_s: float
    why: str


class Outages:
    """The dependencies that are away."""

    def __init__(self) -> None:
        """Begin with none."""
        self._probed: dict[Dependency, str | None] = {}
        self._failing = WeakKeyDictionary[object, _Failing]()  # ended loops are gone
        self._away: dict[Dependency, Outage] = {}
        self._since_s: dict[Dependency, float] = {}
        self._ended_s: dict[Dependency, float] = {}

    @property
    def away(self) -> Sequence[Outage]:
        """Return what is away now."""
        return tuple(self._away.values())

    def is_away(self, what: Dependency) -> bool:
        """Return whether it is away now."""
        return what in self._away

    def was_away_since(self, what: Dependency, at_s: float) -> bool:
        """Return whether it is away, or was at any time since a monotonic time."""
        return what in self._away or self._ended_s.get(what, at_s - 1) >= at_s

    def probed(self, what: Dependency, why: str | None, clock: Clock) -> None:
        """Record what a probe found: why it can't be reached, None if it can.

        Once it is back, loops have the usual time to find that out.
        """
        if why is None and self._probed.get(what) is not None:
            now_s = clock.monotonic()
            for loop in list(self._failing.values()):
                loop.first_s = now_s if loop.what is what else loop.first_s
        self._probed[what] = None if why is None else brief(why)
        self._update(what, clock)

    def forget_probes(self) -> None:
        """Stop relying on probes: there are none from now on."""
        for what in self._probed:
            self._away.pop(what, None)
            self._since_s.pop(what, None)
        self._probed.clear()

    def failed(self, loop: object, what: Dependency, why: str, clock: Clock) -> None:
        """Record that a loop can't reach it; `loop` is any object, the same one."""
        now_s = clock.monotonic()
        known = self._failing.get(loop)
        if known is not None and known.what is not what:
            self.worked(loop, clock)
            known = None
        if known is None:
            self._failing[loop] = _Failing(what, now_s, now_s, brief(why))
        else:
            known.last_s, known.why = now_s, brief(why)
        self._update(what, clock)

    def worked(self, loop: object, clock: Clock) -> None:
        """Record that a loop doesn't fail any more, or has ended."""
        known = self._failing.pop(loop, None)
        if known is not None:
            self._update(known.what, clock)

    def _update(self, what: Dependency, clock: Clock) -> None:
        why, known = self._why(what, clock.monotonic()), self._away.get(what)
        if why is None:
            if known is not None:
                del self._away[what]
                now_s = self._ended_s[what] = clock.monotonic()
                after_s = round(now_s - self._since_s.pop(what, now_s), 1)
                log_.warning("is_back", what=str(what), after_s=after_s)
        elif known is None:
            self._away[what] = Outage(what, clock.now_us(), why)
            self._since_s[what] = clock.monotonic()
            log_.warning("went_away", what=str(what), why=why)
        else:
            self._away[what] = Outage(what, known.since_us, why)

    def _why(self, what: Dependency, now_s: float) -> str | None:
        """Return why it is away; None if it isn't."""
        if (probed := self._probed.get(what)) is not None:
            return probed
        is_probed = what in self._probed
        for loop in list(self._failing.values()):
            lasted_s = loop.last_s - loop.first_s
            is_sure = lasted_s >= FAILING_S and now_s - loop.last_s < STALE_S
            if loop.what is what and (is_sure or not is_probed):
                return loop.why
        return None


OUTAGES: Final = Outages()
"""Those of this process."""


class Attempts:
    """What one loop tells of its attempts; to be closed when the loop ends.

    A failure that is no outage of a known dependency is logged itself: the first one,
    and then one a minute.
    """

    def __init__(
        self, event: str, *, clock: Clock = SYSTEM_CLOCK, outages: Outages = OUTAGES
    ) -> None:
        """Log failures as `event`."""
        self._event, self._clock, self._outages = event, clock, outages
        self._has_failed = False
        self._warned_s: float | None = None

    def failed(self, error: Exception) -> None:
        """Record a failed attempt."""
        self._has_failed = True
        what = error.of if isinstance(error, TransientError) else None
        if what is not None:
            log_.debug(self._event, error=str(error))
            self._outages.failed(self, what, str(error), self._clock)
            return
        now_s = self._clock.monotonic()
        if self._warned_s is None or now_s - self._warned_s >= REMIND_S:
            self._warned_s = now_s
            log_.warning(self._event, error=str(error) or repr(error))

    def worked(self) -> None:
        """Record that an attempt succeeded, or that the loop ends."""
        if not self._has_failed:
            return
        self._has_failed = False
        self._outages.worked(self, self._clock)
        if self._warned_s is not None:
            self._warned_s = None
            log_.warning("no_longer", failed=self._event)


def log_failure(event: str, error: TransientError, **fields: str | int) -> None:
    """Log a call that failed and isn't repeated here; an outage has its own line."""
    log = log_.warning if error.of is None else log_.debug
    log(event, error=str(error), **fields)


def brief(why: str) -> str:
    """Return a reason as one line of bounded length."""
    line = " ".join(why.split())
    return line if len(line) <= _WHY_MAX else f"{line[: _WHY_MAX - 1]}…"

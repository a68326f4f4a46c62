"""What is remembered of a launch plan's ends: failures in a row, usual time; pure."""

from __future__ import annotations

import statistics

import msgspec
from msgspec.structs import replace

from schemas.phases import ExecutionPhase

DURATIONS_MAX = 50
USUAL_OF = 5
"""What is usual is said once so many executions have succeeded."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The executions of one launch plan that a rule is about, as far as they ended.

    `alerts` are channels on which an alert is open. Times are microseconds.
    """

    last: ExecutionPhase | None = None
    failures: int = 0
    failing_since_us: int | None = None
    durations: tuple[int, ...] = ()
    alerts: tuple[str, ...] = ()

    @property
    def usual_us(self) -> int | None:
        """Return how long a success usually takes; None while that isn't known."""
        if len(self.durations) < USUAL_OF:
            return None
        return int(statistics.median(self.durations))

    def after(
        self, phase: ExecutionPhase, at_us: int, duration_us: int | None
    ) -> Subject:
        """Return it after one more end; an abort is neither a success nor a failure."""
        if phase is ExecutionPhase.ABORTED:
            return self
        if phase is ExecutionPhase.SUCCEEDED:
            durations = self.durations
            if duration_us is not None:
                durations = (*durations, duration_us)[-DURATIONS_MAX:]
            return replace(
                self, last=phase, failures=0, failing_since_us=None, durations=durations
            )
        since_us = at_us if self.failing_since_us is None else self.failing_since_us
        return replace(
            self, last=phase, failures=self.failures + 1, failing_since_us=since_us
        )

    def with_alert(self, channel: str) -> Subject:
        """Return it with an alert that is open on a channel."""
        return replace(self, alerts=tuple(dict.fromkeys((*self.alerts, channel))))

    def without_alerts(self) -> Subject:
        """Return it without open alerts."""
        return replace(self, alerts=())


NOTHING_YET = Subject()

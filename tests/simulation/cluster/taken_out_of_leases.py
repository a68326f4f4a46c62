"""What is taken out of timers, leases and runners: what was wrong is back."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from domain.execution.state import evolve, timers
from domain.execution.state.folds import attempt_events
from domain.execution.state.folds.node_updates import put_node
from domain.execution.state.state import Execution
from gateway.bootstrap.components import propellers
from infra.clock import SystemClock
from schemas.messages import node_events as ne
from tests.support.virtual.loop import now_us
from workers.propeller.leases import Leases
from workers.runner import attempt_history
from workers.runner import loop as running

Patch = pytest.MonkeyPatch


class _TimeOfDay(SystemClock):
    """A clock whose durations go by the time of day."""

    def monotonic(self) -> float:
        return now_us() / 1_000_000


def timers_by_the_time_of_day(patch: Patch) -> None:
    """Propellers measure durations by the time of day."""
    made = propellers._propeller

    def propeller(adapters: Any, *more: Any) -> Any:
        own = SimpleNamespace(**{**vars(adapters), "clock": _TimeOfDay()})
        return made(own, *more)  # type: ignore[arg-type]

    patch.setattr(propellers, "_propeller", propeller)


def unknown_runners_live(patch: Patch) -> None:
    """A runner that this owner never heard keeps its leases."""
    reason = Leases._reason

    def known_only(self: Leases, runner: str, *more: Any) -> str | None:
        if self._holders[runner].incarnation is None:
            return None
        return reason(self, runner, *more)

    patch.setattr(Leases, "_reason", known_only)


def silence_by_the_clock(patch: Patch) -> None:
    """A runner is lost after its timeout, whether or not anybody could hear it."""
    reason = Leases._reason

    def timed(self: Leases, runner: str, incarnation: str, now_s: float) -> str | None:
        seen, ticks = self._holders[runner], self.ticks
        self.ticks = seen.tick + 1_000_000
        try:
            return reason(self, runner, incarnation, now_s)
        finally:
            self.ticks = ticks

    patch.setattr(Leases, "_reason", timed)


def no_reports_of_leases(patch: Patch) -> None:
    """A runner that is heard again doesn't say what it runs."""
    patch.setattr(running, "_LEASES_LEVEL", sys.maxsize)


def aborts_of_whole_attempts(patch: Patch) -> None:
    """An abort stops every run of its attempt, on every runner."""
    for module in (running, attempt_history):
        patch.setattr(module, "abort_of_dispatch", lambda _received: None)


def the_first_deadline(patch: Patch) -> None:
    """An attempt that is dispatched again keeps the time limit of its lost run."""

    def started(state: Execution, event: ne.TaskStarted) -> Execution:
        found = attempt_events.started(state, event)
        limits = state.nodes[event.node_id].limits
        if limits.deadline_us is None:
            return found
        node = found.nodes[event.node_id]
        return put_node(found, replace(node, limits=limits))

    patch.setitem(evolve.APPLY, ne.TaskStarted, started)
    patch.setattr(timers, "_unless_lost", lambda _node, due_us: due_us)


def nothing_released(patch: Patch) -> None:
    """A runner keeps what it has read of partitions that another one gets."""

    async def nothing(*_: object) -> None:
        return

    patch.setattr(running.Runner, "_release", nothing)

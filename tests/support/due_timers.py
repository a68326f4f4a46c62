"""Letting timers of an execution come due, as its partition's owner does."""

from __future__ import annotations

from domain.execution.state.timers import Timer, timers_of
from schemas.messages.commands import TimeReached
from schemas.messages.execution_events import ExecutionEvent
from tests.support.engine import Engine


def next_timer(engine: Engine) -> Timer:
    """Return the timer that is due next."""
    return min(timers_of(engine.state), key=lambda timer: timer.due_us)


def wake(engine: Engine, due_us: int | None = None) -> list[ExecutionEvent]:
    """Let the next timer come due, or the one of a time."""
    timer = next_timer(engine)
    if due_us is not None:
        (timer,) = [t for t in timers_of(engine.state) if t.due_us == due_us]
    engine.clock_us = max(engine.clock_us, timer.due_us)
    return engine.do(TimeReached(timer_id=timer.id))

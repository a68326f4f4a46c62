"""Counters as a read model: one row each."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from projections.columns import Merge
from projections.table import Table
from projections.views.apply import EXECUTIONS, StreamProjection, StreamProjections
from projections.views.changes import ApplyAny, Changes, not_shown, on
from schemas.envelope import Envelope
from schemas.messages.execution_events import StreamParked, StreamResumed
from tests.support.counters.kind import CLOSED, OPEN
from tests.support.counters.messages import (
    CODEC,
    AdditionDelayed,
    CounterAdded,
    CounterClosed,
    CounterEvent,
)


class CounterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One counter: its phase, and what was added last."""

    stream: str
    phase: str
    last_amount: int = 0
    created_at: Annotated[datetime, Merge.FIRST]


COUNTERS = Table("counters", CounterRow, ("stream",))
CREATE_TABLE = (
    "CREATE TABLE counters (stream text PRIMARY KEY, phase text NOT NULL, "
    "last_amount integer NOT NULL, created_at timestamptz NOT NULL)"
)


def _seen(c: Changes, v: Envelope, at: datetime) -> None:
    c.of(COUNTERS).put(CounterRow(stream=v.stream, phase=OPEN, created_at=at))


def _delayed(c: Changes, v: Envelope, _m: AdditionDelayed, at: datetime) -> None:
    _seen(c, v, at)


def _added(c: Changes, v: Envelope, m: CounterAdded, at: datetime) -> None:
    _seen(c, v, at)
    c.of(COUNTERS).set(v.stream, last_amount=m.amount)


def _closed(c: Changes, v: Envelope, _m: CounterClosed, at: datetime) -> None:
    _seen(c, v, at)
    c.of(COUNTERS).set(v.stream, phase=CLOSED)


_APPLY: dict[type, ApplyAny] = dict(
    (
        on(AdditionDelayed, _delayed),
        on(CounterAdded, _added),
        on(CounterClosed, _closed),
        on(StreamParked, not_shown),
        on(StreamResumed, not_shown),
    )
)


def _summary(event: CounterEvent) -> str:
    match event:
        case CounterAdded():
            return f"{event.amount} added"
        case AdditionDelayed():
            return f"{event.amount} will be added"
        case CounterClosed():
            return "closed"
        case StreamParked():
            return f"parked: {event.error}"
        case StreamResumed():
            return "resumed"


COUNTER_PROJECTION: StreamProjection[CounterEvent] = StreamProjection(
    prefix="counter",
    apply=_APPLY,
    subject=lambda event: getattr(event, "command_id", ""),
    summary=_summary,
    tables=(COUNTERS.name,),
    terminal_phases=frozenset((CLOSED,)),
)
PROJECTIONS = StreamProjections(EXECUTIONS, COUNTER_PROJECTION, messages=CODEC)
"""The projections of executions and counters."""

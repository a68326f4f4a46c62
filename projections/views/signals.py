"""What events change in the read model of signals; pure."""

from __future__ import annotations

from datetime import datetime

from projections.rows import SignalRow
from projections.views.changes import Changes, on
from schemas.envelope import Envelope
from schemas.messages import execution_events as e


def _requested(c: Changes, v: Envelope, m: e.SignalRequested, at: datetime) -> None:
    row = SignalRow(
        stream=v.stream,
        signal_id=m.signal_id,
        node_id=m.node_id,
        type=m.type,
        created_at=at,
        updated_at=at,
    )
    c.signals.put(row)


def _set(c: Changes, v: Envelope, m: e.SignalSet, at: datetime) -> None:
    c.signals.set(
        v.stream, m.signal_id, value=m.value, principal=m.principal, updated_at=at
    )


APPLY = dict([on(e.SignalRequested, _requested), on(e.SignalSet, _set)])

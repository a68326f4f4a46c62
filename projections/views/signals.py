"""What events change in the view of signals; pure."""

from __future__ import annotations

from datetime import datetime

from projections.views.changes import Apply, Changes
from schemas.envelope import Envelope
from schemas.messages import execution_events as e


def _requested(c: Changes, v: Envelope, m: e.SignalRequested, at: datetime) -> None:
    row = {
        "stream": v.stream,
        "signal_id": m.signal_id,
        "node_id": m.node_id,
        "type": m.type,
        "value": None,
        "principal": "",
        "created_at": at,
        "updated_at": at,
    }
    c.signals.put((v.stream, m.signal_id), row)


def _set(c: Changes, v: Envelope, m: e.SignalSet, at: datetime) -> None:
    key = (v.stream, m.signal_id)
    c.signals.set(key, value=m.value, principal=m.principal, updated_at=at)


APPLY: dict[type, Apply] = {e.SignalRequested: _requested, e.SignalSet: _set}

"""What the deletion of an execution changes in the read models; pure."""

from __future__ import annotations

from datetime import datetime

from projections.views.changes import Changes, on
from schemas.envelope import Envelope
from schemas.messages import execution_events as e


def _deleted(c: Changes, v: Envelope, _m: e.ExecutionDeleted, at: datetime) -> None:
    c.deleted.append((v.stream, at))


APPLY = dict([on(e.ExecutionDeleted, _deleted)])

"""Parking: an execution one of whose commands failed accepts no others."""

from __future__ import annotations

from collections.abc import Sequence

from domain.execution.context import Context
from domain.execution.state.state import Execution
from schemas.messages import commands as c
from schemas.messages import execution_events as e


def resume(
    command: c.ResumeStream, state: Execution, context: Context
) -> Sequence[e.ExecutionEvent]:
    """Resume a parked execution; nothing happens to one that isn't parked."""
    if state.parked is None:
        return ()
    return (
        e.StreamResumed(occurred_at_us=context.now_us, principal=command.principal),
    )

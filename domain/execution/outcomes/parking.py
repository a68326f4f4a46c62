"""Parking: an execution of which a command can't be handled takes no more of them."""

from __future__ import annotations

from collections.abc import Sequence

from domain.execution.context import Context
from domain.execution.state.state import Execution
from schemas.messages import commands as c
from schemas.messages import execution_events as e


def resume(
    command: c.ResumeStream, state: Execution, context: Context
) -> Sequence[e.ExecutionEvent]:
    """Let a parked execution go on; one that isn't parked stays as it is."""
    if state.parked is None:
        return ()
    return (
        e.StreamResumed(occurred_at_us=context.now_us, principal=command.principal),
    )

"""Deletion: an ended execution is removed from the read models; its events stay."""

from __future__ import annotations

from collections.abc import Sequence

from domain.execution.context import Context
from domain.execution.state.state import Execution
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected


def delete(
    command: c.DeleteExecution, state: Execution, context: Context
) -> Sequence[e.ExecutionEvent] | Rejected:
    """Delete an execution, unless it still runs or is another execution's child."""
    if state.is_deleted:
        return ()
    name = context.stream.removeprefix("execution/")
    if not state.is_terminal:
        return Rejected(
            Reason.FAILED_PRECONDITION,
            f"Expected to delete execution '{name}' after its end, but it is "
            f"{state.phase.value}; terminate it first",
        )
    parent = state.created.parent if state.created else None
    if parent is not None and not command.with_parent:
        above = parent.stream.removeprefix("execution/")
        return Rejected(
            Reason.FAILED_PRECONDITION,
            f"Expected to delete an execution that a user asked for, but '{name}' is "
            f"a child of '{above}' and goes with it",
        )
    return (
        e.ExecutionDeleted(
            occurred_at_us=context.now_us,
            principal=command.principal,
            phase=state.phase.value,
        ),
    )

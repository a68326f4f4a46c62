"""Parking: an execution with a command that can't be handled takes no more."""

from __future__ import annotations

from collections.abc import Sequence

from domain.execution.context import Context
from domain.execution.state.state import Execution
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected


def refusal(parked: e.StreamParked, context: Context) -> Rejected:
    """Return why a parked execution takes no command."""
    name = context.stream.removeprefix("execution/")
    return Rejected(
        Reason.FAILED_PRECONDITION,
        f"Expected execution '{name}' to take commands, but it is parked since its "
        f"{parked.command_type} could not be handled ({parked.error}); the command "
        "lies with the dead letters until the execution is resumed",
    )


def resume(
    command: c.ResumeStream, state: Execution, context: Context
) -> Sequence[e.ExecutionEvent]:
    """Let a parked execution go on; one that isn't parked stays as it is."""
    if state.parked is None:
        return ()
    return (
        e.StreamResumed(occurred_at_us=context.now_us, principal=command.principal),
    )

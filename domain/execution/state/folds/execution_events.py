"""How an execution's own events change its state: a function for each."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.state import Execution, Signal
from schemas.messages import execution_events as e
from schemas.phases import ExecutionPhase


def created(state: Execution, event: e.ExecutionCreated) -> Execution:
    """Change the phase to QUEUED, and set what the execution was created with."""
    return replace(state, created=event, phase=ExecutionPhase.QUEUED)


def started(state: Execution, _event: e.ExecutionStarted) -> Execution:
    """Change the phase to RUNNING."""
    return replace(state, phase=ExecutionPhase.RUNNING)


def succeeding(state: Execution, _event: e.ExecutionSucceeding) -> Execution:
    """Change the phase to SUCCEEDING."""
    return replace(state, phase=ExecutionPhase.SUCCEEDING)


def succeeded(state: Execution, event: e.ExecutionSucceeded) -> Execution:
    """Change the phase to SUCCEEDED, and set the outputs."""
    return replace(state, phase=ExecutionPhase.SUCCEEDED, outputs=event.outputs)


def failing(state: Execution, event: e.ExecutionFailing) -> Execution:
    """Change the phase to FAILING, and set the failure."""
    return replace(state, phase=ExecutionPhase.FAILING, failure=event.failure)


def failed(state: Execution, event: e.ExecutionFailed) -> Execution:
    """Change the phase to FAILED, and set the failure."""
    return replace(state, phase=ExecutionPhase.FAILED, failure=event.failure)


def aborting(state: Execution, _event: e.ExecutionAborting) -> Execution:
    """Change the phase to ABORTING."""
    return replace(state, phase=ExecutionPhase.ABORTING)


def aborted(state: Execution, _event: e.ExecutionAborted) -> Execution:
    """Change the phase to ABORTED."""
    return replace(state, phase=ExecutionPhase.ABORTED)


def timed_out(state: Execution, event: e.ExecutionTimedOut) -> Execution:
    """Change the phase to TIMED_OUT, and set the failure."""
    return replace(state, phase=ExecutionPhase.TIMED_OUT, failure=event.failure)


def time_limited(state: Execution, event: e.ExecutionTimeLimited) -> Execution:
    """Set when the execution must have ended."""
    return replace(state, deadline_us=event.deadline_us or None)


def deleted(state: Execution, _event: e.ExecutionDeleted) -> Execution:
    """Mark the execution as deleted."""
    return replace(state, is_deleted=True)


def parked(state: Execution, event: e.StreamParked) -> Execution:
    """Set why the execution accepts no commands."""
    return replace(state, parked=event)


def resumed(state: Execution, _event: e.StreamResumed) -> Execution:
    """Let the execution accept commands again."""
    return replace(state, parked=None)


def signal_requested(state: Execution, event: e.SignalRequested) -> Execution:
    """Add a signal that has no value yet."""
    signal = Signal(type=event.type)
    return replace(state, signals=state.signals.set(event.signal_id, signal))


def signal_set(state: Execution, event: e.SignalSet) -> Execution:
    """Give a signal its value."""
    signal = replace(state.signals[event.signal_id], value=event.value)
    return replace(state, signals=state.signals.set(event.signal_id, signal))

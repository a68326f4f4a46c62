"""What is kept of an execution that has ended, and a state made of that."""

from __future__ import annotations

from domain.execution.state.state import Execution
from schemas.ids import EntityRef, ParentNode, execution_of
from schemas.messages import execution_events as e
from schemas.messages.snapshots import StreamClosed
from schemas.phases import ExecutionPhase
from schemas.values import NO_VALUES, Blob
from workers.propeller.kinds.rules import ClosingRules

_NO_ENTITY = EntityRef(kind="", project="", domain="", name="", version="")
_NO_BLOB = Blob(uri="", digest="", size=0)

TERMINAL_EVENTS: dict[type[e.ExecutionEvent], ExecutionPhase] = {
    e.ExecutionSucceeded: ExecutionPhase.SUCCEEDED,
    e.ExecutionFailed: ExecutionPhase.FAILED,
    e.ExecutionAborted: ExecutionPhase.ABORTED,
    e.ExecutionTimedOut: ExecutionPhase.TIMED_OUT,
}
"""The events that end an execution, and the phase that each leads to."""


def closed(state: Execution, sequence: int) -> StreamClosed:
    """Return what is kept of an ended execution."""
    created = state.created
    assert created is not None  # noqa: S101 - what has ended has begun
    parent = created.parent
    return StreamClosed(
        last_sequence=sequence,
        phase=state.phase.value,
        created_by=created.created_by,
        node_id=parent.node_id if parent else "",
        attempt=parent.attempt if parent else 0,
        is_deleted=state.is_deleted,
    )


def closed_execution(stream: str, found: StreamClosed) -> Execution:
    """Return a state that rejects and drops commands as the ended execution would."""
    created = e.ExecutionCreated(
        occurred_at_us=0,
        execution=execution_of(stream),
        launch_plan=_NO_ENTITY,
        workflow=_NO_ENTITY,
        task=None,
        spec=b"",
        inputs=NO_VALUES,
        user_inputs=NO_VALUES,
        definition=_NO_BLOB,
        principal="",
        max_parallelism=0,
        parent=_parent(found),
        created_by=found.created_by,
    )
    return Execution(
        created=created,
        phase=ExecutionPhase(found.phase),
        is_deleted=found.is_deleted,
    )


def _parent(found: StreamClosed) -> ParentNode | None:
    """Return who asked for it: a child's command has the id of its parent's event."""
    if not found.node_id:
        return None
    stream, *_ = found.created_by.rsplit("/", 2)
    return ParentNode(stream=stream, node_id=found.node_id, attempt=found.attempt)


def _ended(first: e.ExecutionEvent, last: e.ExecutionEvent) -> Execution:
    assert isinstance(first, e.ExecutionCreated)  # noqa: S101 - decide emits it first
    if isinstance(last, e.ExecutionDeleted):
        phase = ExecutionPhase(last.phase)
        return Execution(created=first, phase=phase, is_deleted=True)
    return Execution(created=first, phase=TERMINAL_EVENTS[type(last)])


CLOSING: ClosingRules[e.ExecutionEvent, Execution] = ClosingRules(
    events=frozenset((*TERMINAL_EVENTS, e.ExecutionDeleted)),
    late=frozenset((e.ExecutionDeleted,)),
    state=_ended,
    summary=closed,
    from_summary=closed_execution,
)

"""React: the messages that must be sent because of an event, in its transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Never, TypeVar

from domain.decider import Outgoing, Send
from domain.execution import dispatches
from domain.execution.context import Context
from domain.execution.input_dispatches import resolve_inputs
from domain.execution.nodes import attempt
from domain.execution.nodes.time_limits import EXPIRED
from domain.execution.outcomes.caching import look_up
from domain.execution.state.state import Execution
from domain.text_limits import (
    CAUSE_BYTES_MAX,
    PART_BYTES_MAX,
    creation_violation,
    cut,
)
from schemas.ids import ParentNode, execution_stream
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.rejections import Rejected
from schemas.phases import ExecutionPhase
from schemas.values import ErrorKind, Failure

_LOST_RUNS_LEVEL = 2
"""The format level that brings aborts which name a dispatch."""

_E = TypeVar("_E", bound=ne.Event)
_Reaction = Callable[[Never, Execution, Context], Sequence[Outgoing]]


def react(
    event: e.ExecutionEvent, state: Execution, context: Context
) -> Sequence[Outgoing]:
    """Return what follows from an event; `state` is the state right after it."""
    reaction = _REACTIONS.get(type(event))
    if reaction is None:
        return ()
    return reaction(event, state, context)  # type: ignore[arg-type]  # _on pairs them


def react_to_rejection(
    command: c.ExecutionCommand, rejected: Rejected
) -> Sequence[Outgoing]:
    """Return what follows from a rejection: a report to the parent of a child."""
    if not isinstance(command, c.CreateExecution) or command.parent is None:
        return ()
    code, detail = rejected.reason.value, rejected.detail
    failure = Failure(code=code, message=detail, kind=ErrorKind.USER)
    return (_not_created(command, command.parent, failure, refused=True),)


def react_to_failure(command: c.ExecutionCommand, error: str) -> Sequence[Send]:
    """Return what follows when a command to a new stream can't be handled.

    A parent would wait for its child for ever: it is told that the system failed.
    """
    if not isinstance(command, c.CreateExecution) or command.parent is None:
        return ()
    if creation_violation(command) is not None:
        return ()
    message = f"Expected to create the child execution, but: {error}"
    failure = Failure(code="CreationFailed", message=message, kind=ErrorKind.SYSTEM)
    return (_not_created(command, command.parent, failure, refused=False),)


def _not_created(
    command: c.CreateExecution, parent: ParentNode, failure: Failure, *, refused: bool
) -> Send:
    report = c.ReportChild(
        node_id=parent.node_id,
        attempt=parent.attempt,
        child=f"{command.project}/{command.domain}/{command.name}",
        phase=ExecutionPhase.FAILED.value,
        failure=failure,
        refused=refused,
    )
    return Send(stream=parent.stream, command=report)


def react_without_events(
    command: c.ExecutionCommand, state: Execution, context: Context
) -> Sequence[Outgoing]:
    """Return what follows from a command that changes nothing.

    That are aborts of lost runs, and the storing of a child's outputs.
    """
    if isinstance(command, c.ReportChild):
        dispatch = dispatches.store_outputs(command, state, context)
        return () if dispatch is None else (dispatch,)
    if not isinstance(command, c.ReportLease | c.ReportTaskStarted):
        return ()
    if context.format_level < _LOST_RUNS_LEVEL or attempt.is_held(state, command):
        return ()
    abort = d.AbortTask(
        stream=context.stream,
        node_id=command.node_id,
        attempt=command.attempt,
        reason=f"runner '{command.runner}' has lost the lease of this dispatch",
        dispatch_no=command.dispatch_no,
        runner=command.runner,
        incarnation=command.incarnation,
    )
    return (abort,)


def _task_dispatched(
    event: ne.TaskQueued | ne.TaskRedispatched, state: Execution, context: Context
) -> Sequence[Outgoing]:
    return (dispatches.run_task(event, state, context),)


def _node_resolving(
    event: ne.NodeResolving, state: Execution, context: Context
) -> Sequence[Outgoing]:
    return (resolve_inputs(event, state, context),)


def _lookup_requested(
    event: ne.CacheLookupRequested, state: Execution, context: Context
) -> Sequence[Outgoing]:
    return (look_up(event, state, context),)


def _array_gathering(
    event: ne.ArrayGathering, state: Execution, context: Context
) -> Sequence[Outgoing]:
    return (dispatches.gather_outputs(event, state, context),)


def _task_aborted(
    event: ne.TaskAborted, state: Execution, context: Context
) -> Sequence[Outgoing]:
    if state.nodes[event.node_id].array is not None:
        return ()
    return (dispatches.abort_task(event, event.attempt, context),)


def _node_aborted(
    event: ne.NodeAborted, state: Execution, context: Context
) -> Sequence[Outgoing]:
    if state.nodes[event.node_id].awaits_outputs:
        return (dispatches.abort_task(event, 0, context),)
    return _abort_child(event, state)


def _node_failed(
    event: ne.NodeFailed, state: Execution, _context: Context
) -> Sequence[Outgoing]:
    if event.failure.code != EXPIRED:
        return ()
    return _abort_child(event, state)


def requests(event: e.ExecutionEvent, stream: str) -> Sequence[Send]:
    """Return the commands of an event of a stream that other streams answer."""
    if not isinstance(event, ne.ChildRequested):
        return ()
    return (_create_child(event, stream),)


def _child_requested(
    event: ne.ChildRequested, _state: Execution, context: Context
) -> Sequence[Outgoing]:
    return (_create_child(event, context.stream),)


def _create_child(event: ne.ChildRequested, stream: str) -> Send:
    command = c.CreateExecution(
        project=event.child.project,
        domain=event.child.domain,
        name=event.child.name,
        launch_plan=event.launch_plan,
        spec=event.spec,
        inputs=event.inputs.inline,
        inputs_uri=event.inputs.uri if event.inputs.inline is None else None,
        parent=ParentNode(stream=stream, node_id=event.node_id, attempt=event.attempt),
        recovers=event.recovers,
    )
    return Send(stream=execution_stream(event.child), command=command)


def _abort_child(
    event: ne.NodeAborted | ne.NodeFailed, state: Execution
) -> Sequence[Outgoing]:
    child = state.nodes[event.node_id].child
    if child is None or state.created is None:
        return ()
    parent = state.created.execution.text()
    cause = (
        f"cascading abort as parent execution id [{parent}] aborted, "
        f"reason [{event.failure.message}]"
    )
    command = c.TerminateExecution(
        cause=cut(cause, CAUSE_BYTES_MAX),
        principal=cut(state.created.principal, PART_BYTES_MAX),
    )
    return (Send(stream=execution_stream(child.execution), command=command),)


def _report_to_parent(
    event: (
        e.ExecutionCreated
        | e.ExecutionSucceeded
        | e.ExecutionFailed
        | e.ExecutionAborted
        | e.ExecutionTimedOut
    ),
    state: Execution,
    _context: Context,
) -> Sequence[Outgoing]:
    created = state.created
    if created is None or created.parent is None:
        return ()
    report = c.ReportChild(
        node_id=created.parent.node_id,
        attempt=created.parent.attempt,
        child=created.execution.text(),
        phase=state.phase.value,
        outputs=event.outputs if isinstance(event, e.ExecutionSucceeded) else None,
        failure=state.failure if state.is_terminal else None,
    )
    return (Send(stream=created.parent.stream, command=report),)


def _on(
    event: type[_E],
    reaction: Callable[[_E, Execution, Context], Sequence[Outgoing]],
) -> tuple[type[ne.Event], _Reaction]:
    """Pair an event's class with its function, whose types must agree."""
    return event, reaction


_REACTIONS: dict[type[ne.Event], _Reaction] = dict(
    (
        _on(ne.TaskQueued, _task_dispatched),
        _on(ne.TaskRedispatched, _task_dispatched),
        _on(ne.NodeResolving, _node_resolving),
        _on(ne.CacheLookupRequested, _lookup_requested),
        _on(ne.ArrayGathering, _array_gathering),
        _on(ne.ChildRequested, _child_requested),
        _on(ne.TaskAborted, _task_aborted),
        _on(ne.NodeAborted, _node_aborted),
        _on(ne.NodeFailed, _node_failed),
        _on(e.ExecutionCreated, _report_to_parent),
        _on(e.ExecutionSucceeded, _report_to_parent),
        _on(e.ExecutionFailed, _report_to_parent),
        _on(e.ExecutionAborted, _report_to_parent),
        _on(e.ExecutionTimedOut, _report_to_parent),
    )
)
"""What follows from each event that has consequences outside its stream."""

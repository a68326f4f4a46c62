"""Decide: which events follow from a command, or why it is rejected.

A repeated command adds no events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Never, TypeVar

from msgspec.structs import replace

from domain import text_limits
from domain.decider import Decider, parked_rejection
from domain.execution.context import Context
from domain.execution.decision import Decision
from domain.execution.nodes import (
    due_timers,
    dynamic,
    entry,
    gate,
    launch_plan,
    task,
    time_limits,
)
from domain.execution.outcomes import abort, deletion, parking, signals
from domain.execution.react import react
from domain.execution.state.evolve import evolve
from domain.execution.state.state import Execution
from domain.execution.traversal import settle
from domain.graph import START
from schemas.ids import execution_stream
from schemas.levels import execution_rules
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected

Outcome = Sequence[e.ExecutionEvent] | Rejected
_VERBS: dict[type[c.Command], str] = {
    c.TerminateExecution: "terminate",
    c.RequestSignal: "ask for a signal of",
    c.SetSignal: "set a signal of",
    c.ResumeStream: "resume",
    c.DeleteExecution: "delete",
}
"""What rejections call each command; the others are reports."""


def decide(command: c.ExecutionCommand, state: Execution, context: Context) -> Outcome:
    """Return the events that follow from a command, or why it is rejected."""
    if isinstance(command, c.CreateExecution):
        return _create(command, state, context)
    if isinstance(command, c.ReportLease):
        return ()  # whatever became of the lease, the answer is no event
    if state.created is None:
        return _reject(Reason.NOT_FOUND, context, command, "it does not exist")
    _check_stream(state.created, context)
    too_long = text_limits.rejection(command)
    if too_long is not None:
        return too_long
    if isinstance(command, c.DeleteExecution):
        return deletion.delete(command, state, context)
    if state.is_terminal:
        return _late(command, state, context)
    if isinstance(command, c.ResumeStream):
        return parking.resume(command, state, context)
    if state.parked is not None:
        return parked_rejection(context.stream, state.parked)
    rejected = signals.rejection(command, state, context)
    if rejected is not None:
        return rejected
    decision = Decision(state, context)
    ROUTES[type(command)](decision, command)  # type: ignore[arg-type]  # _on pairs them
    settle(decision)
    return tuple(decision.events)


def _create(command: c.CreateExecution, state: Execution, context: Context) -> Outcome:
    if state.created is not None:
        known = state.created
        if known.created_by == context.command_id or (
            command.parent is not None and known.parent == command.parent
        ):
            return ()
        name = f"{command.project}/{command.domain}/{command.name}"
        detail = f"Expected to create execution '{name}', but it already exists"
        return Rejected(Reason.ALREADY_EXISTS, detail)
    if isinstance(context.admission, Rejected):
        return context.admission
    _check_stream(context.admission, context)
    decision = Decision(state, context)
    rules = execution_rules(context.format_level)
    decision.emit(replace(context.admission, rules=rules))
    decision.emit(e.ExecutionStarted(occurred_at_us=decision.now_us))
    time_limits.begin_execution(decision)
    decision.ready.append(("", START))
    settle(decision)
    return tuple(decision.events)


def _check_stream(created: e.ExecutionCreated, context: Context) -> None:
    """Fail before events are written to another stream than the execution's own."""
    stream = execution_stream(created.execution)
    assert stream == context.stream, f"{stream} isn't {context.stream}"  # noqa: S101 - a defect


def _late(command: c.ExecutionCommand, state: Execution, context: Context) -> Outcome:
    """Reject what a user asks of an ended execution; a late report does nothing."""
    if isinstance(command, c.TerminateExecution | c.RequestSignal | c.ResumeStream):
        found = f"it is already {state.phase.value}"
        return _reject(Reason.FAILED_PRECONDITION, context, command, found)
    return ()


def _reject(
    reason: Reason, context: Context, command: c.ExecutionCommand, found: str
) -> Rejected:
    name = context.stream.removeprefix("execution/")
    verb = _VERBS.get(type(command), "report to")
    return Rejected(reason, f"Expected to {verb} execution '{name}', but {found}")


def _terminate(decision: Decision, command: c.TerminateExecution) -> None:
    now_us, cause, principal = decision.now_us, command.cause, command.principal
    decision.emit(
        e.ExecutionAborting(occurred_at_us=now_us, cause=cause, principal=principal)
    )
    abort.abort_all(decision, cause)
    decision.emit(
        e.ExecutionAborted(occurred_at_us=now_us, cause=cause, principal=principal)
    )


_C = TypeVar("_C", bound=c.Command)
_Handler = Callable[[Decision, Never], None]


def _on(
    command: type[_C], handler: Callable[[Decision, _C], None]
) -> tuple[type[c.Command], _Handler]:
    """Pair a command's class with its function, whose types must agree."""
    return command, handler


ROUTES: dict[type[c.Command], _Handler] = dict(
    (
        _on(c.TerminateExecution, _terminate),
        _on(c.ReportTaskStarted, task.started),
        _on(c.ReportTaskSucceeded, task.succeeded),
        _on(c.ReportTaskFailed, task.failed),
        _on(c.ReportTaskExpanded, dynamic.expanded),
        _on(c.ExpireLease, task.lease_expired),
        _on(c.ReportInputsResolved, entry.inputs_resolved),
        _on(c.ReportResolutionFailed, entry.resolution_failed),
        _on(c.ReportCacheLookedUp, entry.cache_looked_up),
        _on(c.ReportChild, launch_plan.reported),
        _on(c.ReportOutputsGathered, entry.outputs_gathered),
        _on(c.RequestSignal, gate.signal_requested),
        _on(c.SetSignal, gate.signal_set),
        _on(c.TimeReached, due_timers.time_reached),
    )
)
"""The function for each command to an execution that exists and has not ended."""

execution: Decider[c.ExecutionCommand, e.ExecutionEvent, Execution, Context] = Decider(
    initial=Execution(), decide=decide, evolve=evolve, react=react
)

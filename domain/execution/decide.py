"""Decide: which events follow from a wish. May refuse; a repeated wish adds nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from domain.decider import Decider, parked_rejection
from domain.execution.context import Context
from domain.execution.decision import Step, outcome
from domain.execution.nodes import (
    array,
    branch,
    dynamic,
    gate,
    launch_plan,
    task,
    time_limits,
)
from domain.execution.outcomes import caching, completion, deletion, parking, signals
from domain.execution.react import react
from domain.execution.state.evolve import evolve
from domain.execution.state.state import Execution
from domain.execution.state.timers import read_timer
from domain.execution.traversal import begin, enter, settle
from domain.graph import START
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.rejections import Reason, Rejected
from schemas.phases import NodePhase
from schemas.values import NO_VALUES

Outcome = Sequence[e.ExecutionEvent] | Rejected
_VERBS: dict[type, str] = {
    c.TerminateExecution: "terminate",
    c.RequestSignal: "ask for a signal of",
    c.SetSignal: "set a signal of",
    c.ResumeStream: "resume",
    c.DeleteExecution: "delete",
}


def decide(command: c.ExecutionCommand, state: Execution, context: Context) -> Outcome:
    """Say which events follow from a wish."""
    if isinstance(command, c.CreateExecution):
        return _create(command, state, context)
    if state.created is None:
        return _refuse(Reason.NOT_FOUND, context, command, "it does not exist")
    if isinstance(command, c.DeleteExecution):
        return deletion.delete(command, state, context)
    if state.is_terminal:
        return _late(command, state, context)
    if isinstance(command, c.ResumeStream):
        return parking.resume(command, state, context)
    if state.parked is not None:
        return parked_rejection(context.stream, state.parked)
    refused = signals.refusal(command, state, context)
    if refused is not None:
        return refused
    step = Step(state, context)
    ROUTES[type(command)](step, command)
    settle(step)
    return outcome(step)


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
    step = Step(state, context)
    step.emit(context.admission)
    step.emit(e.ExecutionStarted(occurred_at_us=step.now_us))
    time_limits.begin_execution(step)
    step.ready.append(("", START))
    settle(step)
    return outcome(step)


def _late(command: c.ExecutionCommand, state: Execution, context: Context) -> Outcome:
    if isinstance(command, c.TerminateExecution | c.RequestSignal | c.ResumeStream):
        found = f"it is already {state.phase.value}"
        return _refuse(Reason.FAILED_PRECONDITION, context, command, found)
    return ()


def _terminate(step: Step, command: c.TerminateExecution) -> None:
    step.emit(
        e.ExecutionAborting(
            occurred_at_us=step.now_us,
            cause=command.cause,
            principal=command.principal,
        )
    )
    completion.abort_all(step, command.cause)
    step.emit(
        e.ExecutionAborted(
            occurred_at_us=step.now_us,
            cause=command.cause,
            principal=command.principal,
        )
    )


def _inputs_resolved(step: Step, command: c.ReportInputsResolved) -> None:
    node = step.state.nodes.get(command.node_id)
    if node is None or node.phase is not NodePhase.NOT_YET_STARTED:
        return
    if node.is_looked_up:
        return
    if node.site.kind == "branch":
        enter(step, node.site, command.inputs, proceed=False)
        branch.enter_with(step, command.node_id, command.operands)
    elif node.site.kind == "array":
        enter(step, node.site, command.inputs, proceed=False)
        array.enter_sized(step, command.node_id, command.size)
    else:
        begin(step, node.site, command.inputs)


def _time_reached(step: Step, command: c.TimeReached) -> None:
    timer = read_timer(command.timer_id)
    if timer is None:
        return
    if not timer.node_id:
        time_limits.execution_reached(step)
        return
    node = step.state.nodes.get(timer.node_id)
    if node is None:
        return
    if node.site.kind == "task":
        task.time_reached(step, timer.node_id, timer.attempt)
    elif not gate.woken(step, node):
        time_limits.reached(step, node)


def _resolution_failed(step: Step, command: c.ReportResolutionFailed) -> None:
    node = step.state.nodes.get(command.node_id)
    if node is None or node.phase is not NodePhase.NOT_YET_STARTED:
        return
    enter(step, node.site, node.inputs or NO_VALUES, proceed=False)
    completion.fail_node(step, command.node_id, command.failure)


def _cache_looked_up(step: Step, command: c.ReportCacheLookedUp) -> None:
    node = step.state.nodes.get(command.node_id)
    if node is None or not node.is_looked_up:
        return
    if node.awaits_outputs and command.reservation == "EXISTS":
        return
    if node.phase is NodePhase.NOT_YET_STARTED:
        caching.queue(step, node)
    caching.answered(step, command)
    if command.status == "HIT":
        outputs = command.outputs or NO_VALUES
        completion.succeed_node(step, command.node_id, outputs)
    elif command.reservation != "EXISTS":
        task.enter(step, command.node_id, node.inputs or NO_VALUES)


def _refuse(
    reason: Reason, context: Context, command: c.ExecutionCommand, found: str
) -> Rejected:
    name = context.stream.removeprefix("execution/")
    verb = _VERBS.get(type(command), "report to")
    return Rejected(reason, f"Expected to {verb} execution '{name}', but {found}")


ROUTES: dict[type, Callable[[Step, Any], None]] = {
    c.TerminateExecution: _terminate,
    c.ReportTaskStarted: task.started,
    c.ReportTaskSucceeded: task.succeeded,
    c.ReportTaskFailed: task.failed,
    c.ReportTaskExpanded: dynamic.expanded,
    c.ExpireLease: task.lease_expired,
    c.ReportInputsResolved: _inputs_resolved,
    c.ReportResolutionFailed: _resolution_failed,
    c.ReportChild: launch_plan.reported,
    c.ReportCacheLookedUp: _cache_looked_up,
    c.ReportOutputsGathered: array.gathered,
    c.RequestSignal: gate.signal_requested,
    c.SetSignal: gate.signal_set,
    c.TimeReached: _time_reached,
}
"""Who decides on each wish, once the execution exists."""

execution: Decider[c.ExecutionCommand, e.ExecutionEvent, Execution, Context] = Decider(
    initial=Execution(), decide=decide, evolve=evolve, react=react
)

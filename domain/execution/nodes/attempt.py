"""Attempts of tasks: dispatched, held by a runner, ended, tried again (ref §4.5)."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.outcomes import limits
from domain.execution.outcomes.abort import abort_inside
from domain.execution.outcomes.completion import fail_node
from domain.execution.outcomes.retry import exhausted, may_retry
from domain.execution.state.node import Lease, Node, TaskAttempt
from domain.execution.state.state import Execution
from domain.execution.view import ExecutionView
from schemas.ids import generated_name
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import Failure, Values

_EXPIRY_LEVEL = 2
"""The format level that brings `TaskStarted.expires_at_us`."""

RunnerReport = (
    c.ReportTaskStarted
    | c.ReportTaskSucceeded
    | c.ReportTaskFailed
    | c.ReportTaskExpanded
)


def dispatch(decision: Decision, node_id: str) -> None:
    """Dispatch the node's current attempt to the runners."""
    node = decision.node(node_id)
    budget_us = limits.queueing_budget_us(decision)
    decision.emit(
        ne.TaskQueued(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            attempt=node.attempt,
            task=node.site.entity,
            task_type=decision.task_template(node.site).type,
            generated_name=generated_name(
                decision.created.execution.name, node_id, node.attempt
            ),
            interruptible=_is_interruptible(decision, node),
            expires_at_us=node.limits.expires_at_us or 0,
            start_by_us=decision.now_us + budget_us if budget_us else 0,
            memory=limits.memory(decision, node),
        )
    )


def hold(decision: Decision, report: RunnerReport) -> Node | None:
    """Return the node that a report is about, started; None for a late report.

    The first runner that reports gets the lease.
    """
    node = decision.state.nodes.get(report.node_id)
    if node is None or node.attempt != report.attempt:
        return None
    task = dispatched(node)
    if task is None or task.dispatch_no != report.dispatch_no:
        return None
    if task.lease is None:
        _start(decision, node, report)
        return node
    reporter = Lease(runner=report.runner, incarnation=report.incarnation)
    return node if task.lease == reporter else None


def is_held(state: Execution, report: c.ReportLease | c.ReportTaskStarted) -> bool:
    """Return whether a dispatch that a runner runs is in force, and nobody else's."""
    node = state.nodes.get(report.node_id)
    if node is None or node.attempt != report.attempt:
        return False
    task = dispatched(node)
    reporter = Lease(runner=report.runner, incarnation=report.incarnation)
    return (
        task is not None
        and task.dispatch_no == report.dispatch_no
        and task.lease in {None, reporter}
    )


def dispatched(node: Node) -> TaskAttempt | None:
    """Return the attempt that a runner holds or will; None for an array's own."""
    if node.task is None or not node.task.is_open or node.array is not None:
        return None
    return node.task


def _start(decision: Decision, node: Node, report: RunnerReport) -> None:
    """Give the lease to a runner; each dispatch has a time limit of its own."""
    timeout_us = limits.attempt_timeout_us(decision, node.site)
    decision.emit(
        ne.TaskStarted(
            occurred_at_us=decision.now_us,
            node_id=report.node_id,
            attempt=report.attempt,
            dispatch_no=report.dispatch_no,
            runner=report.runner,
            incarnation=report.incarnation,
            started_at_us=report.started_at_us,
            logs=report.logs,
            deadline_us=decision.now_us + timeout_us if timeout_us else 0,
            deck_uri=report.deck_uri,
            expires_at_us=_expiry_after_loss_us(decision, node, timeout_us),
        )
    )
    if node.phase is NodePhase.QUEUED:
        decision.emit(
            ne.NodeStarted(occurred_at_us=decision.now_us, node_id=report.node_id)
        )


def _expiry_after_loss_us(
    decision: Decision, node: Node, timeout_us: int | None
) -> int:
    """Return when the node expires that a lost runner has kept so far; 0: as before.

    Its time limit as a whole moves by what was lost: from the start there until now.
    """
    deadline_us, expires_at_us = node.limits.deadline_us, node.limits.expires_at_us
    if decision.context.format_level < _EXPIRY_LEVEL:
        return 0
    if timeout_us is None or deadline_us is None or expires_at_us is None:
        return 0
    return expires_at_us + decision.now_us - (deadline_us - timeout_us)


def deadline_us(view: ExecutionView, node: Node) -> int | None:
    """Return when an attempt that is running must have ended; None for never."""
    timeout_us = limits.attempt_timeout_us(view, node.site)
    if node.limits.deadline_us is not None or timeout_us is None:
        return node.limits.deadline_us
    return view.now_us + timeout_us


def end_succeeded(
    decision: Decision,
    report: c.ReportTaskSucceeded | c.ReportTaskExpanded,
    outputs: Values,
) -> None:
    """End an attempt that succeeded; its node continues."""
    decision.emit(
        ne.TaskSucceeded(
            occurred_at_us=decision.now_us,
            node_id=report.node_id,
            attempt=report.attempt,
            ended_at_us=report.ended_at_us,
            outputs=outputs,
            deck_uri=report.deck_uri,
            logs=report.logs,
        )
    )


def retry_or_fail(
    decision: Decision, node_id: str, failure: Failure, *, recoverable: bool
) -> None:
    """Begin the next attempt after a failure within the budgets, or fail the node."""
    node = decision.node(node_id)
    if not recoverable:
        fail_node(decision, node_id, failure)
        return
    attempts_max = _attempts_max(decision, node)
    system_retries = decision.context.limits.system_retries
    if not may_retry(node, failure, attempts_max, system_retries):
        last = exhausted(node, failure, attempts_max, system_retries)
        fail_node(decision, node_id, last)
        return
    pause_us = limits.pause_us(decision, node, failure)
    if node.dynamic_closure is not None:
        abort_inside(decision, node_id, failure.message)
    decision.emit(
        ne.NodeRetryScheduled(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            attempt=node.attempt,
            failure=failure,
            retry_at_us=decision.now_us + pause_us if pause_us else 0,
        )
    )
    if not pause_us:
        begin_next(decision, decision.node(node_id))


def begin_next(decision: Decision, node: Node) -> None:
    """Begin the next attempt of a node whose last one failed."""
    decision.emit(
        ne.NodeRequeued(
            occurred_at_us=decision.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt + 1,
            memory_factor=limits.memory_factor(decision, node),
        )
    )
    dispatch(decision, node.site.node_id)


def _attempts_max(view: ExecutionView, node: Node) -> int:
    """Return the user's budget of attempts: the node's, else the task's, else one."""
    on_node = view.graph_node(node.site).spec.metadata.retries.retries
    on_task = view.task_template(node.site).metadata.retries.retries
    return (on_node or on_task) + 1


def _is_interruptible(view: ExecutionView, node: Node) -> bool:
    if node.retries.system_failures >= view.context.limits.system_retries:
        return False
    metadata = view.graph_node(node.site).spec.metadata
    if metadata.WhichOneof("interruptible_value"):
        return metadata.interruptible
    if view.spec.HasField("interruptible"):
        return view.spec.interruptible.value
    return view.task_template(node.site).metadata.interruptible

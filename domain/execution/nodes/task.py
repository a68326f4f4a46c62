"""Task nodes: attempts, their reports, and the two retry budgets (ref §4.5)."""

from __future__ import annotations

from domain.execution.decision import Step, execution_spec
from domain.execution.outcomes import limits as wishes
from domain.execution.outcomes.completion import (
    abort_inside,
    fail_node,
    succeed_node,
    time_out_node,
)
from domain.execution.outcomes.retry import exhausted, may_retry
from domain.execution.state.state import Node
from schemas.ids import generated_name
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import NodePhase, TaskPhase
from schemas.values import Failure, Values

_OPEN = frozenset({TaskPhase.QUEUED, TaskPhase.RUNNING})


def enter(step: Step, node_id: str, _inputs: Values) -> None:
    """Hand the node's current attempt out to the runners."""
    node = step.node(node_id)
    target = node.site.target
    assert target is not None  # noqa: S101 - the compiler refuses others
    step.emit(
        ne.TaskQueued(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=node.attempt,
            task=target,
            task_type=step.task_template(node.site).type,
            generated_name=generated_name(
                step.created.execution.name, node_id, node.attempt
            ),
            interruptible=_is_interruptible(step, node),
            expires_at_us=node.expires_at_us,
            start_by_us=_start_by_us(step),
            memory=wishes.memory(step, node),
        )
    )


def started(step: Step, report: c.ReportTaskStarted) -> None:
    """Give the first runner that reports the lease."""
    held_by(step, report)


def succeeded(step: Step, report: c.ReportTaskSucceeded) -> None:
    """End an attempt, and its node, well."""
    if held_by(step, report) is None:
        return
    end_well(step, report, report.outputs)
    succeed_node(step, report.node_id, report.outputs, report.deck_uri)


def end_well(
    step: Step,
    report: c.ReportTaskSucceeded | c.ReportTaskExpanded,
    outputs: Values,
) -> None:
    """End an attempt well; its node goes on."""
    step.emit(
        ne.TaskSucceeded(
            occurred_at_us=step.now_us,
            node_id=report.node_id,
            attempt=report.attempt,
            ended_at_us=report.ended_at_us,
            outputs=outputs,
            deck_uri=report.deck_uri,
            logs=report.logs,
        )
    )


def failed(step: Step, report: c.ReportTaskFailed) -> None:
    """End an attempt badly: try again within the budgets, or fail the node."""
    if held_by(step, report) is None:
        return
    step.emit(
        ne.TaskFailed(
            occurred_at_us=step.now_us,
            node_id=report.node_id,
            attempt=report.attempt,
            ended_at_us=report.ended_at_us,
            failure=report.failure,
            recoverable=report.recoverable,
            logs=report.logs,
            exit_code=report.exit_code,
        )
    )
    retry_or_fail(step, report.node_id, report.failure, recoverable=report.recoverable)


def lease_expired(step: Step, command: c.ExpireLease) -> None:
    """Hand an attempt out again whose runner is gone, within a bound."""
    node = step.state.nodes.get(command.node_id)
    if node is None or node.attempt != command.attempt or not _is_handed_out(node):
        return
    if node.lease.dispatch_no != command.dispatch_no:
        return
    if command.dispatch_no < step.context.limits.redispatches:
        step.emit(
            ne.TaskRedispatched(
                occurred_at_us=step.now_us,
                node_id=command.node_id,
                attempt=command.attempt,
                dispatch_no=command.dispatch_no + 1,
                reason=command.reason,
            )
        )
        return
    failure = Failure(code="RunnerLost", message=command.reason, kind="SYSTEM")
    step.emit(
        ne.TaskFailed(
            occurred_at_us=step.now_us,
            node_id=command.node_id,
            attempt=command.attempt,
            ended_at_us=step.now_us,
            failure=failure,
            recoverable=True,
        )
    )
    retry_or_fail(step, command.node_id, failure, recoverable=True)


def time_reached(step: Step, node_id: str, attempt: int) -> None:
    """End an attempt that has run too long, or a node active too long (ref §4.6).

    Or begin the attempt after a pause.
    """
    node = step.state.nodes.get(node_id)
    if node is None or node.attempt != attempt or node.is_terminal:
        return
    if node.phase is NodePhase.RETRYABLE_FAILURE:
        if node.wakes_at_us <= step.now_us:
            _requeue(step, node)
        return
    if node.task not in _OPEN and node.inside is None:
        return
    limit_s = _timeout_us(step, node) / 1_000_000
    if node.expires_at_us and node.expires_at_us <= step.now_us:
        time_out_node(step, node_id, f"node active for longer than [{2 * limit_s:g}s]")
        return
    if node.start_by_us and node.start_by_us <= step.now_us:
        budget_s = wishes.queueing_budget_us(step) / 1_000_000
        late = f"no runner began the task within its queueing budget [{budget_s:g}s]"
        time_out_node(step, node_id, late)
        return
    if not node.deadline_us or node.deadline_us > step.now_us:
        return
    message = f"task execution timeout [{limit_s:g}s] expired"
    failure = Failure(code="TimeoutExpired", message=message, kind="USER")
    if node.task in _OPEN:
        step.emit(
            ne.TaskAborted(
                occurred_at_us=step.now_us,
                node_id=node_id,
                attempt=attempt,
                failure=failure,
            )
        )
    retry_or_fail(step, node_id, failure, recoverable=True)


def _timeout_us(step: Step, node: Node) -> int:
    """Return how long an attempt may run: the node's word, else the task's; 0: ever."""
    on_node = step.graph_node(node).spec.metadata.timeout.ToMicroseconds()
    on_task = step.task_template(node.site).metadata.timeout
    return int(on_node or on_task.ToMicroseconds())


def deadline_us(step: Step, node: Node) -> int:
    """Return by when an attempt that is running must have ended; 0: never."""
    timeout_us = _timeout_us(step, node)
    return node.deadline_us or (step.now_us + timeout_us if timeout_us else 0)


def _start_by_us(step: Step) -> int:
    budget_us = wishes.queueing_budget_us(step)
    return step.now_us + budget_us if budget_us else 0


_Report = (
    c.ReportTaskStarted
    | c.ReportTaskSucceeded
    | c.ReportTaskFailed
    | c.ReportTaskExpanded
)


def held_by(step: Step, report: _Report) -> Node | None:
    """Return the node that a report is of, started; None for a report that is late."""
    node = _reported(step, report)
    if node is not None and not node.lease.runner:
        _start(step, node, report)
    return node


def _reported(step: Step, report: _Report) -> Node | None:
    """Return the node if the report comes from the dispatch that is in force."""
    node = step.state.nodes.get(report.node_id)
    if node is None or node.attempt != report.attempt or not _is_handed_out(node):
        return None
    if node.lease.dispatch_no != report.dispatch_no:
        return None
    held_by = (node.lease.runner, node.lease.incarnation)
    if node.lease.runner and held_by != (report.runner, report.incarnation):
        return None
    return node


def _is_handed_out(node: Node) -> bool:
    """Tell whether a runner has the attempt, or will: nobody runs an array's own."""
    return node.task in _OPEN and node.array is None


def _start(step: Step, node: Node, report: _Report) -> None:
    step.emit(
        ne.TaskStarted(
            occurred_at_us=step.now_us,
            node_id=report.node_id,
            attempt=report.attempt,
            dispatch_no=report.dispatch_no,
            runner=report.runner,
            incarnation=report.incarnation,
            started_at_us=report.started_at_us,
            logs=report.logs,
            deadline_us=deadline_us(step, node),
            deck_uri=report.deck_uri,
        )
    )
    if node.phase is NodePhase.QUEUED:
        step.emit(ne.NodeStarted(occurred_at_us=step.now_us, node_id=report.node_id))


def retry_or_fail(
    step: Step, node_id: str, failure: Failure, *, recoverable: bool
) -> None:
    """End an attempt's node badly, or begin the next attempt within the budgets."""
    node = step.node(node_id)
    if not recoverable:
        fail_node(step, node_id, failure)
        return
    attempts_max = _attempts_max(step, node)
    limits = step.context.limits
    if not may_retry(node, failure, attempts_max, limits.system_retries):
        after = exhausted(node, failure, attempts_max, limits.system_retries)
        fail_node(step, node_id, after)
        return
    pause_us = wishes.pause_us(step, node, failure)
    if node.inside is not None:
        abort_inside(step, node_id, failure.message)
    step.emit(
        ne.NodeRetryScheduled(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=node.attempt,
            failure=failure,
            retry_at_us=step.now_us + pause_us if pause_us else 0,
        )
    )
    if not pause_us:
        _requeue(step, step.node(node_id))


def _requeue(step: Step, node: Node) -> None:
    """Begin the next attempt of a node whose last one failed."""
    step.emit(
        ne.NodeRequeued(
            occurred_at_us=step.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt + 1,
            memory_factor=wishes.memory_factor(step, node),
        )
    )
    enter(step, node.site.node_id, node.inputs or Values(inline=b""))


def _attempts_max(step: Step, node: Node) -> int:
    """Return the user's budget of attempts: the node's, else the task's, else one."""
    on_node = step.graph_node(node).spec.metadata.retries.retries
    on_task = step.task_template(node.site).metadata.retries.retries
    return int(on_node or on_task) + 1


def _is_interruptible(step: Step, node: Node) -> bool:
    if node.system_failures >= step.context.limits.system_retries:
        return False
    metadata = step.graph_node(node).spec.metadata
    if metadata.WhichOneof("interruptible_value"):
        return bool(metadata.interruptible)
    spec = execution_spec(step.created.spec)
    if spec.HasField("interruptible"):
        return bool(spec.interruptible.value)
    return bool(step.task_template(node.site).metadata.interruptible)

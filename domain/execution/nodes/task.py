"""Task nodes: dispatched to runners, and ended by their reports (ref §4.5)."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.nodes import attempt
from domain.execution.outcomes.completion import succeed_node
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.values import ErrorKind, Failure, Values


def enter(decision: Decision, node_id: str, _inputs: Values) -> None:
    """Dispatch the first attempt."""
    attempt.dispatch(decision, node_id)


def started(decision: Decision, report: c.ReportTaskStarted) -> None:
    """Give the first runner that reports the lease."""
    attempt.hold(decision, report)


def succeeded(decision: Decision, report: c.ReportTaskSucceeded) -> None:
    """End an attempt, and its node, with outputs."""
    if attempt.hold(decision, report) is None:
        return
    attempt.end_succeeded(decision, report, report.outputs)
    succeed_node(decision, report.node_id, report.outputs, report.deck_uri)


def failed(decision: Decision, report: c.ReportTaskFailed) -> None:
    """End an attempt that failed: try again within the budgets, or fail the node."""
    if attempt.hold(decision, report) is None:
        return
    decision.emit(
        ne.TaskFailed(
            occurred_at_us=decision.now_us,
            node_id=report.node_id,
            attempt=report.attempt,
            ended_at_us=report.ended_at_us,
            failure=report.failure,
            recoverable=report.recoverable,
            logs=report.logs,
            exit_code=report.exit_code,
        )
    )
    attempt.retry_or_fail(
        decision, report.node_id, report.failure, recoverable=report.recoverable
    )


def lease_expired(decision: Decision, command: c.ExpireLease) -> None:
    """Dispatch an attempt again whose runner is gone, a limited number of times."""
    node = decision.state.nodes.get(command.node_id)
    if node is None or node.attempt != command.attempt:
        return
    task = attempt.dispatched(node)
    if task is None or task.dispatch_no != command.dispatch_no:
        return
    if command.dispatch_no < decision.context.limits.redispatches:
        decision.emit(
            ne.TaskRedispatched(
                occurred_at_us=decision.now_us,
                node_id=command.node_id,
                attempt=command.attempt,
                dispatch_no=command.dispatch_no + 1,
                reason=command.reason,
            )
        )
        return
    failure = Failure(code="RunnerLost", message=command.reason, kind=ErrorKind.SYSTEM)
    decision.emit(
        ne.TaskFailed(
            occurred_at_us=decision.now_us,
            node_id=command.node_id,
            attempt=command.attempt,
            ended_at_us=decision.now_us,
            failure=failure,
            recoverable=True,
        )
    )
    attempt.retry_or_fail(decision, command.node_id, failure, recoverable=True)

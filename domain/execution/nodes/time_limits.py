"""Time limits of nodes that aren't tasks, and of executions."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.outcomes.abort import abort_task
from domain.execution.outcomes.completion import fail_node, time_out_execution
from domain.execution.outcomes.limits import execution_timeout_us, node_timeout_us
from domain.execution.outcomes.retry import exhausted
from domain.execution.state.node import Node
from schemas.messages.execution_events import ExecutionTimeLimited
from schemas.messages.node_events import NodeTimeLimited
from schemas.values import ErrorKind, Failure

EXPIRED = "RetriesExhausted|TimeoutExpired"


def begin(decision: Decision, node_id: str) -> None:
    """Set the deadline of a node that has just started, if it has a time limit."""
    timeout_us = node_timeout_us(decision, decision.node(node_id).site)
    if timeout_us is not None:
        decision.emit(
            NodeTimeLimited(
                occurred_at_us=decision.now_us,
                node_id=node_id,
                deadline_us=decision.now_us + timeout_us,
            )
        )


def begin_execution(decision: Decision) -> None:
    """Set the deadline of an execution that has just started, if it has a limit."""
    timeout_us = execution_timeout_us(decision)
    if timeout_us is not None:
        decision.emit(
            ExecutionTimeLimited(
                occurred_at_us=decision.now_us,
                deadline_us=decision.now_us + timeout_us,
            )
        )


def end_execution(decision: Decision, due_us: int) -> None:
    """Time an execution out whose deadline has passed."""
    if decision.state.deadline_us == due_us:
        limit_s = (due_us - decision.created.occurred_at_us) / 1_000_000
        time_out_execution(decision, f"execution timeout [{limit_s:g}s] expired")


def end_node(decision: Decision, node: Node) -> None:
    """Fail a node whose deadline has passed, with everything inside it (ref §4.6)."""
    limit_s = (node_timeout_us(decision, node.site) or 0) / 1_000_000
    message = f"node execution timeout [{limit_s:g}s] expired"
    late = Failure(code="TimeoutExpired", message=message, kind=ErrorKind.USER)
    abort_task(decision, node, message)
    fail_node(decision, node.site.node_id, exhausted(node, late, 1, 0))

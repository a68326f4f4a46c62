"""Time limits of nodes that aren't tasks, and of whole executions."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.execution.outcomes.completion import (
    abort_task,
    fail_node,
    time_out_execution,
)
from domain.execution.outcomes.limits import timeout_us
from domain.execution.outcomes.retry import exhausted
from domain.execution.state.state import Node
from schemas.messages.execution_events import ExecutionTimeLimited
from schemas.messages.node_events import NodeTimeLimited
from schemas.phases import NodePhase
from schemas.values import Failure

EXPIRED = "RetriesExhausted|TimeoutExpired"


def begin(step: Step, node_id: str) -> None:
    """Note by when a node that has just started must have ended, if it says so."""
    timeout_us = _timeout_us(step, step.node(node_id))
    if timeout_us:
        step.emit(
            NodeTimeLimited(
                occurred_at_us=step.now_us,
                node_id=node_id,
                deadline_us=step.now_us + timeout_us,
            )
        )


def begin_execution(step: Step) -> None:
    """Note by when the execution must have ended, if anybody says so."""
    limit_us = timeout_us(step)
    if limit_us:
        deadline_us = step.now_us + limit_us
        step.emit(
            ExecutionTimeLimited(occurred_at_us=step.now_us, deadline_us=deadline_us)
        )


def execution_reached(step: Step) -> None:
    """End an execution whose time is over."""
    if 0 < step.state.deadline_us <= step.now_us:
        limit_s = (step.state.deadline_us - step.created.occurred_at_us) / 1_000_000
        time_out_execution(step, f"execution timeout [{limit_s:g}s] expired")


def reached(step: Step, node: Node) -> None:
    """Fail a node whose time is over, with everything inside it (ref §4.6)."""
    if node.is_terminal or node.phase is NodePhase.FAILING:
        return
    if not 0 < node.deadline_us <= step.now_us:
        return
    limit_s = _timeout_us(step, node) / 1_000_000
    message = f"node execution timeout [{limit_s:g}s] expired"
    late = Failure(code="TimeoutExpired", message=message, kind="USER")
    abort_task(step, node, message)
    fail_node(step, node.site.node_id, exhausted(node, late, 1, 0))


def _timeout_us(step: Step, node: Node) -> int:
    return int(step.graph_node(node).spec.metadata.timeout.ToMicroseconds())

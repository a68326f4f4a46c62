"""Time limits of nodes that have no task: gates, sub-workflows, launch plans."""

from __future__ import annotations

from domain.execution.finishing import fail_node
from domain.execution.state import Node
from domain.execution.step import Step
from domain.retry import exhausted
from schemas.events import NodeTimeLimited
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


def reached(step: Step, node: Node) -> None:
    """Fail a node whose time is over, with everything inside it (ref §0b.13)."""
    if node.is_terminal or not 0 < node.deadline_us <= step.now_us:
        return
    limit_s = _timeout_us(step, node) / 1_000_000
    message = f"node execution timeout [{limit_s:g}s] expired"
    late = Failure(code="TimeoutExpired", message=message, kind="USER")
    fail_node(step, node.site.node_id, exhausted(node, late, 1, 0))


def _timeout_us(step: Step, node: Node) -> int:
    return int(step.graph_node(node).spec.metadata.timeout.ToMicroseconds())

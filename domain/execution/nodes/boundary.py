"""Start and end: where a workflow's inputs come in and its outputs go out."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.execution.outcomes.completion import succeed_scope
from schemas.messages.node_events import NodeSucceeded
from schemas.values import Values


def enter_start(step: Step, node_id: str, inputs: Values) -> None:
    """Hand the workflow's inputs on as outputs of its start node (ref §4.3)."""
    step.emit(
        NodeSucceeded(occurred_at_us=step.now_us, node_id=node_id, outputs=inputs)
    )


def enter_end(step: Step, node_id: str, inputs: Values) -> None:
    """End the workflow with what its outputs are bound to."""
    scope = step.node(node_id).site.scope
    step.emit(
        NodeSucceeded(occurred_at_us=step.now_us, node_id=node_id, outputs=inputs)
    )
    succeed_scope(step, scope, inputs)

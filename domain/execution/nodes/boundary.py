"""Start and end nodes: where a workflow's inputs come in and its outputs go out."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.outcomes.completion import succeed_scope
from schemas.messages.node_events import NodeSucceeded
from schemas.values import Values


def enter_start(decision: Decision, node_id: str, inputs: Values) -> None:
    """Pass the workflow's inputs on as outputs of its start node (ref §4.3)."""
    decision.emit(
        NodeSucceeded(occurred_at_us=decision.now_us, node_id=node_id, outputs=inputs)
    )


def enter_end(decision: Decision, node_id: str, inputs: Values) -> None:
    """End the workflow with what its outputs are bound to."""
    scope = decision.node(node_id).site.scope
    decision.emit(
        NodeSucceeded(occurred_at_us=decision.now_us, node_id=node_id, outputs=inputs)
    )
    succeed_scope(decision, scope, inputs)

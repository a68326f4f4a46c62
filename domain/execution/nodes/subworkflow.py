"""Sub-workflow nodes: another workflow in a scope of its own (ref §5.3)."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.nodes import time_limits
from domain.graph import START
from schemas.messages.node_events import NodeStarted
from schemas.values import Values


def enter(decision: Decision, node_id: str, _inputs: Values) -> None:
    """Begin the inner workflow; its start node is given the node's inputs."""
    decision.emit(NodeStarted(occurred_at_us=decision.now_us, node_id=node_id))
    time_limits.begin(decision, node_id)
    decision.ready.append((node_id, START))

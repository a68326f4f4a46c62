"""Sub-workflow nodes: the same engine, one scope further in (ref §5.3)."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.execution.nodes import time_limits
from domain.graph import START
from schemas.messages.node_events import NodeStarted
from schemas.values import Values


def enter(step: Step, node_id: str, _inputs: Values) -> None:
    """Begin the inner workflow; its start node takes the node's inputs."""
    step.emit(NodeStarted(occurred_at_us=step.now_us, node_id=node_id))
    time_limits.begin(step, node_id)
    step.ready.append((node_id, START))

"""Aborting: stops what runs for a node, or for the execution."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.state.node import Node
from domain.execution.view import ExecutionView
from schemas.messages import node_events as ne
from schemas.phases import NodePhase
from schemas.values import ErrorKind, Failure


def abort_all(decision: Decision, reason: str) -> None:
    """Abort every node that has not ended, innermost first."""
    active = list(decision.state.active)
    depths = {node_id: len(_chain(decision, node_id)) for node_id in active}
    _abort(decision, depths, reason)


def abort_inside(decision: Decision, node_id: str, reason: str) -> None:
    """Abort every node inside a node, innermost first; an element contains none."""
    if decision.node(node_id).site.element is not None:
        return
    chains = {active: _chain(decision, active) for active in decision.state.active}
    depths = {n: len(chain) for n, chain in chains.items() if node_id in chain[1:]}
    _abort(decision, depths, reason)


def abort_task(decision: Decision, node: Node, reason: str) -> None:
    """Abort a node's attempt, if it is queued or runs."""
    if node.task is None or not node.task.is_open:
        return
    decision.emit(
        ne.TaskAborted(
            occurred_at_us=decision.now_us,
            node_id=node.site.node_id,
            attempt=node.attempt,
            failure=Failure(code="Task Aborted", message=reason, kind=ErrorKind.SYSTEM),
        )
    )


def _abort(decision: Decision, depths: dict[str, int], reason: str) -> None:
    for node_id in sorted(depths, key=lambda n: (-depths[n], n)):
        _abort_node(decision, node_id, reason)


def _abort_node(decision: Decision, node_id: str, reason: str) -> None:
    node = decision.node(node_id)
    abort_task(decision, node, reason)
    if node.phase is NodePhase.NOT_YET_STARTED:
        site = node.site.to_message()
        decision.emit(ne.NodeSkipped(occurred_at_us=decision.now_us, site=site))
        return
    decision.emit(
        ne.NodeAborted(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            failure=Failure(code="NodeAborted", message=reason, kind=ErrorKind.SYSTEM),
        )
    )


def _chain(view: ExecutionView, node_id: str) -> list[str]:
    """Return a node's id and those of all that contain it, outermost last."""
    chain = [node_id]
    while parent := view.node(chain[-1]).site.parent_id:
        chain.append(parent)
    return chain

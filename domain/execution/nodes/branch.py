"""Branch nodes: decide once, on recorded operands, and run one arm (ref §5.2)."""

from __future__ import annotations

from flyteidl.core import literals_pb2

from domain.execution.decision import Decision
from domain.execution.outcomes.completion import fail_node
from domain.execution.view import literal_map
from domain.literals.conditions import choose, operand_names
from schemas.messages.node_events import BranchDecided, NodeStarted
from schemas.values import Failure, Values


def enter(decision: Decision, node_id: str, inputs: Values) -> None:
    """Choose an arm from inline inputs."""
    site = decision.node(node_id).site
    block = decision.graph_node(site).spec.branch_node.if_else
    known = literal_map(inputs.inline or b"").literals
    names = (name for name in operand_names(block) if name in known)
    operands = literals_pb2.LiteralMap(literals={name: known[name] for name in names})
    enter_with(decision, node_id, operands.SerializeToString(deterministic=True))


def enter_with(decision: Decision, node_id: str, operands: bytes) -> None:
    """Choose an arm; `operands` is a LiteralMap with what the conditions compare."""
    decision.emit(NodeStarted(occurred_at_us=decision.now_us, node_id=node_id))
    site = decision.node(node_id).site
    block = decision.graph_node(site).spec.branch_node.if_else
    chosen = choose(block, literal_map(operands))
    if isinstance(chosen, Failure):
        fail_node(decision, node_id, chosen)
        return
    decision.emit(
        BranchDecided(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            chosen=chosen,
            operands=operands,
        )
    )

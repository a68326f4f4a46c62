"""Setting a node of a state, with everything that the state counts; O(1)."""

from __future__ import annotations

from msgspec.structs import replace

from domain.execution.state.folds.array_counters import count_element
from domain.execution.state.node import Node
from domain.execution.state.state import Execution, ScopeFailure
from domain.graph import SLOT_KINDS
from schemas.values import Failure


def put_node(state: Execution, node: Node) -> Execution:
    """Return the state with a node set, whether it was reached before or not."""
    site = node.site
    if site.element is not None:
        state = count_element(state, node)
    node_id = site.node_id
    known = state.nodes.get(node_id)
    nodes = state.nodes.set(node_id, node)
    was_active = known is not None and not known.is_terminal
    slots = state.slots + _slots(node) - (_slots(known) if known is not None else 0)
    active = state.active
    if was_active and node.is_terminal:
        active = active.delete(node_id)
    elif not was_active and not node.is_terminal:
        active = active.set(node_id, None)
    return replace(state, nodes=nodes, active=active, slots=slots)


def _slots(node: Node) -> int:
    """Return what a node counts against max_parallelism.

    A dynamic node gives its slot to the workflow that it runs, whose nodes would
    otherwise wait for it forever.
    """
    site = node.site
    if node.is_terminal or site.element is not None or node.dynamic_closure is not None:
        return 0
    return int(site.kind in SLOT_KINDS)


def put_failure(state: Execution, node_id: str, failure: Failure) -> Execution:
    """Return the state with a node's failure as the last one of its scope.

    The failure of an element concerns its array only. A branch that has decided fails
    because of another node, which stays the one that is named.
    """
    site = state.nodes[node_id].site
    if site.element is not None:
        return state
    earlier = state.failures.get(site.scope)
    if earlier is not None and state.nodes[node_id].chosen_arm is not None:
        node_id = earlier.node_id
    last = ScopeFailure(failure=failure, node_id=node_id)
    return replace(state, failures=state.failures.set(site.scope, last))

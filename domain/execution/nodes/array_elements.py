"""Elements of arrays: their sites, inputs and outputs, and how each begins."""

from __future__ import annotations

from collections.abc import Collection

from flyteidl.core import literals_pb2

from domain.execution.decision import Decision
from domain.execution.nodes import launch_plan, task
from domain.execution.outcomes.caching import policy_at
from domain.execution.outcomes.completion import fail_node
from domain.execution.outcomes.inputs import input_path
from domain.execution.outcomes.queueing import queue_node, request_lookup
from domain.execution.outcomes.recovery import recover
from domain.execution.state.node import Node
from domain.execution.state.site import Site
from domain.execution.view import ExecutionView, literal_map
from domain.graph import START
from domain.literals import array_values
from domain.literals.bindings import resolve
from schemas.ids import element_name
from schemas.messages import node_events as ne
from schemas.phases import SUCCESSES
from schemas.sites import NodeKind
from schemas.values import NO_VALUES, Failure, Values

ENTER = {NodeKind.TASK: task.enter, NodeKind.LAUNCH_PLAN: launch_plan.enter}
"""How an element begins: only tasks and launch plans can be elements."""


def begin(decision: Decision, node: Node, index: int) -> None:
    """Begin an element, unless it is recovered: look it up, resolve it, or run it."""
    site = _site(decision, node, index)
    if recover(decision, site):
        return
    if not array_values.is_sliced(decision.graph_node(node.site)):
        _begin_with(decision, site, NO_VALUES, "")
        return
    lists = (node.inputs or NO_VALUES).inline
    if lists is None:
        decision.emit(
            ne.NodeResolving(occurred_at_us=decision.now_us, site=site.to_message())
        )
        return
    bound = decision.graph_node(node.site).spec.array_node.bound_inputs
    inputs = element_inputs(literal_map(lists), bound, index)
    path = input_path(decision, site)
    if isinstance(inputs, Failure):
        queue_node(decision, site, NO_VALUES, path)
        fail_node(decision, site.node_id, inputs)
        return
    data = inputs.SerializeToString(deterministic=True)
    _begin_with(decision, site, Values(inline=data), path)


def element_inputs(
    lists: literals_pb2.LiteralMap, bound: Collection[str], index: int
) -> literals_pb2.LiteralMap | Failure:
    """Return an element's inputs: its items of the lists, and all of what is bound."""
    bindings = array_values.element_bindings(lists.literals, bound, index)
    return resolve(bindings, {START: lists})


def _begin_with(decision: Decision, site: Site, inputs: Values, path: str) -> None:
    if policy_at(decision, site) is not None:
        request_lookup(decision, site, inputs, path)
        return
    queue_node(decision, site, inputs, path)
    ENTER[site.kind](decision, site.node_id, inputs)


def _site(view: ExecutionView, node: Node, index: int) -> Site:
    element = view.graph_node(node.site).element
    assert element is not None  # noqa: S101 - arrays have one
    return Site(
        node_id=view.element_id(node, index),
        spec_node_id=element_name(index),
        kind=element.kind,
        name=element.spec.metadata.name,
        parent_id=node.site.node_id,
        parent_attempt=node.attempt,
        scope=node.site.scope,
        target=element.target,
        element=index,
    )


def element_outputs(view: ExecutionView, node: Node) -> dict[int, Values]:
    """Return the outputs of the elements that succeeded, by index."""
    assert node.array is not None  # noqa: S101 - it was started
    found: dict[int, Values] = {}
    for index in range(node.array.size):
        element = view.node(view.element_id(node, index))
        if element.phase in SUCCESSES:
            found[index] = element.outputs or NO_VALUES
    return found


def output_names(view: ExecutionView, node: Node) -> tuple[str, ...]:
    """Return the names of an array's outputs."""
    scope = node.site.scope
    return array_values.output_names(
        view.graph(scope), view.graph_node(node.site), view.owner(scope).tasks
    )

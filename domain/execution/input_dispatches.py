"""Dispatches that resolve inputs, where the engine can't do so by itself."""

from __future__ import annotations

from collections.abc import Iterable

from flyteidl.core import literals_pb2

from domain.execution.context import Context
from domain.execution.outcomes.failure_node import bindings_of
from domain.execution.outcomes.inputs import inline_max, input_path, source
from domain.execution.state.site import Site
from domain.execution.state.state import Execution
from domain.execution.view import ExecutionView
from domain.graph import START, GraphNode
from domain.literals import array_values
from domain.literals.bindings import source_node_ids
from domain.literals.conditions import operand_names
from domain.literals.dataclass_times import time_inputs
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.sites import NodeKind
from schemas.values import NO_VALUES

_TIMES_LEVEL = 2
"""The format level that brings `ResolveInputs.times`."""


def resolve_inputs(
    event: ne.NodeResolving, state: Execution, context: Context
) -> d.ResolveInputs:
    """Return the dispatch that resolves a node's inputs."""
    view = ExecutionView(state, context)
    site = view.node(event.site.node_id).site
    if site.element is not None:
        return _resolve_element(view, site, site.element)
    graph_node = view.graph(site.scope).nodes[site.spec_node_id]
    shape, operands, spec = None, tuple[str, ...](), graph_node.spec
    if site.kind is NodeKind.ARRAY:
        shape = d.ArrayShape(
            bound=tuple(spec.array_node.bound_inputs),
            inline_max=inline_max(graph_node, view.inline_max),
        )
    elif site.kind is NodeKind.BRANCH:
        operands = operand_names(spec.branch_node.if_else)
    bindings = bindings_of(view, site.scope, graph_node)
    return d.ResolveInputs(
        stream=context.stream,
        node_id=site.node_id,
        attempt=0,
        bindings=tuple(b.SerializeToString() for b in bindings),
        sources=tuple(
            d.SourceValues(node_id=node_id, values=source(view, site.scope, node_id))
            for node_id in sorted(source_node_ids(bindings))
        ),
        input_path=input_path(view, site),
        operands=operands,
        array=shape,
        inline_max=view.reported_inline_max,
        times=_times(view, site.scope, graph_node, bindings),
    )


def _times(
    view: ExecutionView,
    scope: str,
    graph_node: GraphNode,
    bindings: Iterable[literals_pb2.Binding],
) -> bytes:
    """Return the inputs that a runner may have to convert to times."""
    interface = view.interface(scope, graph_node)
    if interface is None or view.context.format_level < _TIMES_LEVEL:
        return b""
    return time_inputs(bindings, interface.inputs.variables)


def _resolve_element(view: ExecutionView, site: Site, index: int) -> d.ResolveInputs:
    owner = view.node(site.parent_id)
    spec = view.graph_node(owner.site).spec
    names = [binding.var for binding in spec.inputs]
    bindings = array_values.element_bindings(names, spec.array_node.bound_inputs, index)
    lists = d.SourceValues(node_id=START, values=owner.inputs or NO_VALUES)
    return d.ResolveInputs(
        stream=view.context.stream,
        node_id=site.node_id,
        attempt=0,
        bindings=tuple(b.SerializeToString() for b in bindings),
        sources=(lists,),
        input_path=input_path(view, site),
        inline_max=view.reported_inline_max,
    )

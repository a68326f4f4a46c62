"""Inputs of nodes: where they are stored, where they come from, their size limit."""

from __future__ import annotations

from domain.execution.outcomes.failure_node import bindings_of
from domain.execution.state.site import Site
from domain.execution.view import ExecutionView, literal_map
from domain.graph import START, GraphNode
from domain.literals.array_values import INLINE_BYTES_MAX, is_sliced
from domain.literals.bindings import resolve, source_node_ids
from domain.literals.dataclass_times import restore
from domain.literals.offloading import (
    inspected_inputs,
    offloaded_in_promises,
    offloaded_inputs,
)
from schemas.paths import (
    FLAT_FOLDERS,
    attempt_path,
    data_folder,
    input_file,
    node_of_inputs,
    node_path,
)
from schemas.sites import NodeKind
from schemas.values import NO_VALUES, Failure, Values


def data_path(view: ExecutionView, site: Site) -> str:
    """Return the path of a node's data, relative to the blobs' root (ref §4.7)."""
    execution, rules = view.created.execution, view.created.rules
    if rules >= FLAT_FOLDERS:
        return node_path(execution, site.node_id, rules)
    if not site.parent_id:
        return f"{data_folder(execution, rules)}/{site.spec_node_id}/data"
    parent = view.node(site.parent_id)
    own = site.spec_node_id if site.element is None else str(site.element)
    return f"{attempt_path(node_of_inputs(parent.input_path), parent.attempt)}/{own}"


def input_path(view: ExecutionView, site: Site) -> str:
    """Return the path of a node's inputs, relative to the blobs' root."""
    return input_file(data_path(view, site))


def source(view: ExecutionView, scope: str, spec_node_id: str) -> Values:
    """Return the outputs of an upstream node; START's are the scope's inputs.

    Only a failure node may name one that wasn't reached.
    """
    node = view.state.nodes.get(view.unique_id(scope, spec_node_id or START))
    return (node.outputs if node else None) or NO_VALUES


def inline_max(graph_node: GraphNode, limit: int) -> int:
    """Return how many bytes of a node's inputs may be inline."""
    if graph_node.kind is NodeKind.ARRAY and not is_sliced(graph_node):
        return min(limit, INLINE_BYTES_MAX)
    return limit


def resolve_inputs(
    view: ExecutionView, scope: str, graph_node: GraphNode
) -> Values | Failure | None:
    """Return a node's inputs; None where a runner must resolve or offload them."""
    if graph_node.kind is NodeKind.START:
        return _scope_inputs(view, scope)
    bindings = bindings_of(view, scope, graph_node)
    sources = {}
    for upstream in source_node_ids(bindings):
        values = source(view, scope, upstream)
        if values.inline is None:
            return None
        sources[upstream] = literal_map(values.inline)
    if offloaded_in_promises(bindings, sources):
        return None
    resolved = resolve(bindings, sources)
    if isinstance(resolved, Failure):
        return resolved
    interface = view.interface(scope, graph_node)
    if interface is not None:
        restore(resolved, interface.inputs.variables)
    if offloaded_inputs(resolved, inspected_inputs(graph_node)):
        return None
    data = resolved.SerializeToString(deterministic=True)
    if len(data) > inline_max(graph_node, view.inline_max):
        return None
    return Values(inline=data)


def _scope_inputs(view: ExecutionView, scope: str) -> Values:
    """Return the inputs of a workflow; one that a task returned has none."""
    if not scope:
        return view.created.inputs
    node = view.node(scope)
    if node.dynamic_closure is not None:
        return NO_VALUES
    return node.inputs or NO_VALUES

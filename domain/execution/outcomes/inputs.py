"""Inputs of nodes: where they lie, where they come from, how large they may be."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.graph import START, GraphNode
from domain.literals.array_values import INLINE_BYTES_MAX, is_sliced
from schemas.sites import NodeSite
from schemas.values import NO_VALUES, Values


def data_path(step: Step, site: NodeSite) -> str:
    """Return the folder of a node's data, relative to the blobs' root (ref §4.7)."""
    if not site.parent_id:
        execution = step.created.execution
        name = f"{execution.project}-{execution.domain}-{execution.name}"
        return f"metadata/propeller/{name}/{site.spec_node_id}/data"
    parent = step.node(site.parent_id)
    above = parent.input_path.removesuffix("/inputs.pb")
    own = site.spec_node_id if site.element < 0 else str(site.element)
    return f"{above}/{parent.attempt}/{own}"


def source(step: Step, scope: str, spec_node_id: str) -> Values:
    """Return the outputs of an upstream node; START's are the scope's inputs.

    Only a failure node may name one that wasn't reached.
    """
    node = step.state.nodes.get(step.unique_id(scope, spec_node_id or START))
    return (node.outputs if node else None) or NO_VALUES


def inline_max(graph_node: GraphNode, limit: int) -> int:
    """Return how many bytes of a node's inputs may be inline."""
    if graph_node.kind == "array" and not is_sliced(graph_node):
        return min(limit, INLINE_BYTES_MAX)
    return limit

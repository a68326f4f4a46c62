"""Edges: what each node waits for, and what waits for it (ref §3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from flyteidl.core import compiler_pb2, workflow_pb2

from domain.compiler.branches import with_arms
from domain.compiler.errors import Code, Findings
from domain.graph import END, START
from domain.literals.bindings import promises


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of one workflow.

    `upstream` has every node, also arms of branches and the failure node; `downstream`
    has top-level nodes only. `before` has the nodes that a top-level node must come
    after: its own upstream nodes and those of all its arms.
    """

    upstream: dict[str, set[str]] = field(default_factory=dict)
    downstream: dict[str, set[str]] = field(default_factory=dict)
    before: dict[str, set[str]] = field(default_factory=dict)

    def connect(self, source: str, node_id: str) -> None:
        """Add an edge between two top-level nodes."""
        self.upstream.setdefault(node_id, set()).add(source)
        self.downstream.setdefault(source, set()).add(node_id)
        self.before.setdefault(node_id, set()).add(source)

    def write(self, connections: compiler_pb2.ConnectionSet) -> None:
        """Write the edges to a connection set, ids sorted."""
        for side, edges in (
            (connections.upstream, self.upstream),
            (connections.downstream, self.downstream),
        ):
            for node_id in sorted(edges):
                if edges[node_id]:
                    side[node_id].ids.extend(sorted(edges[node_id]))


def edges_of(
    nodes: Sequence[workflow_pb2.Node],
    end: workflow_pb2.Node,
    failure: workflow_pb2.Node | None,
    found: Findings,
) -> Edges:
    """Return the edges of nodes; those without any are joined to start and end."""
    known = {START, END, *(node.id for node in nodes)}
    edges = Edges()
    for node in (*nodes, end):
        for source in _sources(node, known, found):
            edges.connect(source, node.id)
        for arm in _arms_below(node):
            sources = _sources(arm, known, found)
            edges.upstream.setdefault(arm.id, set()).update(sources)
            edges.before.setdefault(node.id, set()).update(sources)
    for node in () if failure is None else with_arms(failure):
        edges.upstream[node.id] = _sources(node, known, found)
    for node in nodes:
        if node.id not in edges.upstream:
            edges.connect(START, node.id)
        if node.id not in edges.downstream:
            edges.connect(node.id, END)
    if not nodes:
        edges.connect(START, END)
    return edges


def _arms_below(node: workflow_pb2.Node) -> Iterable[workflow_pb2.Node]:
    below = with_arms(node)
    next(below)
    return below


def _sources(node: workflow_pb2.Node, known: set[str], found: Findings) -> set[str]:
    named = {source or START for source in node.upstream_node_ids}
    for binding in node.inputs:
        named.update(promise.node_id for promise in promises(binding.binding))
    for source in sorted(named - known):
        text = f"Expected node '{source}' upstream, but it is not found"
        found.add(Code.NODE_REFERENCE_NOT_FOUND, node.id, text)
    return named & known

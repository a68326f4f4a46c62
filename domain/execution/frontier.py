"""The frontier: how many of a node's upstreams have ended, and who waits for a slot.

It follows from the graph and the facts alone, is never stored, and grows by O(1) for
each edge that a fact passes: no decision walks the whole graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from immutables import Map

from domain.execution.state import Execution, Node
from domain.graph import Definition, Graph
from schemas import events as e

Place = tuple[str, str]
"""A node's place: the scope's id and the node's id in the compiled workflow."""

_ENDINGS = (e.NodeSucceeded, e.NodeFailed)


class Frontier(msgspec.Struct, frozen=True):
    """Arrivals at places not reached yet, and the queue of ready ones without a slot.

    The queue is the places numbered from `head` up to `tail`, first in, first out.
    """

    arrived: Map[Place, int] = Map()
    waiting: Map[int, Place] = Map()
    head: int = 0
    tail: int = 0

    def enqueue(self, place: Place) -> Frontier:
        """Let a ready place wait for a slot."""
        waiting = self.waiting.set(self.tail, place)
        return Frontier(self.arrived, waiting, self.head, self.tail + 1)

    def dequeue(self) -> tuple[Place, Frontier]:
        """Take the place that waited longest."""
        place = self.waiting[self.head]
        waiting = self.waiting.delete(self.head)
        return place, Frontier(self.arrived, waiting, self.head + 1, self.tail)


def graph_of(definition: Definition, state: Execution, scope: str) -> Graph:
    """Return the graph whose nodes live in this scope."""
    if not scope:
        return definition.primary
    target = state.nodes[scope].site.target
    assert target is not None  # noqa: S101 - only sub-workflow nodes are scopes
    return definition.sub_workflows[target]


def advance(
    frontier: Frontier, definition: Definition, state: Execution, event: object
) -> tuple[Frontier, list[Place]]:
    """Count what a fact lets arrive; also return the places that became ready.

    `state` is the state after the fact.
    """
    if isinstance(event, _ENDINGS):
        site = state.nodes[event.node_id].site
    elif isinstance(event, e.NodeSkipped):
        site = event.site
    elif isinstance(event, e.BranchDecided):
        site = state.nodes[event.node_id].site
        return _arrive(frontier, definition, state, site.scope, (event.chosen,))
    else:
        return frontier, []
    graph = graph_of(definition, state, site.scope)
    after = graph.downstream.get(site.spec_node_id, ())
    return _arrive(frontier, definition, state, site.scope, after)


def rebuild(definition: Definition, state: Execution) -> Frontier:
    """Return the frontier of a restored state: once, O(nodes)."""
    frontier, ready = Frontier(), list[Place]()
    for node in state.nodes.values():
        for event in _passed(node):
            frontier, more = advance(frontier, definition, state, event)
            ready.extend(more)
    reached = {(n.site.scope, n.site.spec_node_id) for n in state.nodes.values()}
    order = {
        (scope, node_id): number
        for scope in sorted({scope for scope, _ in ready})
        for number, node_id in enumerate(graph_of(definition, state, scope).nodes)
    }
    for place in sorted(ready, key=lambda p: (p[0], order[p])):
        if place not in reached and not _is_over(state, place[0]):
            frontier = frontier.enqueue(place)
    return frontier


def _is_over(state: Execution, scope: str) -> bool:
    return state.is_terminal or bool(scope and state.nodes[scope].is_terminal)


def _passed(node: Node) -> Iterator[object]:
    if node.chosen:
        yield e.BranchDecided(
            occurred_at_us=0, node_id=node.site.node_id, chosen=node.chosen
        )
    if node.is_terminal and node.phase.value != "ABORTED":
        yield e.NodeSkipped(occurred_at_us=0, site=node.site)


def _arrive(
    frontier: Frontier,
    definition: Definition,
    state: Execution,
    scope: str,
    node_ids: tuple[str, ...],
) -> tuple[Frontier, list[Place]]:
    if not node_ids:
        return frontier, []
    graph = graph_of(definition, state, scope)
    ready: list[Place] = []
    with frontier.arrived.mutate() as arrived:
        for node_id in node_ids:
            place = (scope, node_id)
            count = arrived.get(place, 0) + 1
            if count >= graph.nodes[node_id].waits_for:
                arrived.pop(place, None)
                ready.append(place)
            else:
                arrived[place] = count
        counted = arrived.finish()
    return Frontier(counted, frontier.waiting, frontier.head, frontier.tail), ready

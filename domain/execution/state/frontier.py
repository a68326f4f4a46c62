"""The frontier: how many upstreams of each node have ended, and which nodes queue.

It follows from the graph and the events alone and is never stored. An event costs O(1)
for each edge that it passes: no decision walks the whole graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from immutables import Map
from msgspec.structs import replace

from domain.execution.state.node import Node
from domain.execution.state.scopes import graph_of, is_over, is_superseded
from domain.execution.state.site import Site
from domain.execution.state.state import Execution
from domain.graph import Definition
from schemas.phases import NodePhase

Place = tuple[str, str]
"""A node's place: the scope's id and the node's id in the compiled workflow."""


class Frontier(msgspec.Struct, frozen=True):
    """Arrivals at places not reached yet, and the queue of ready ones without a slot.

    The queue holds the places numbered from `head` up to `tail`, first in, first out;
    `numbers` finds a place in it.
    """

    arrived: Map[Place, int] = Map()
    waiting: Map[int, Place] = Map()
    numbers: Map[Place, int] = Map()
    head: int = 0
    tail: int = 0

    def with_waiting(self, place: Place) -> Frontier:
        """Return the frontier with a ready place at the end of the queue."""
        return replace(
            self,
            waiting=self.waiting.set(self.tail, place),
            numbers=self.numbers.set(place, self.tail),
            tail=self.tail + 1,
        )

    def without(self, place: Place) -> Frontier:
        """Return the frontier without a place in its queue; it needn't be there."""
        number = self.numbers.get(place)
        if number is None:
            return self
        waiting, head = self.waiting.delete(number), self.head
        while head < self.tail and head not in waiting:
            head += 1
        numbers = self.numbers.delete(place)
        return replace(self, waiting=waiting, numbers=numbers, head=head)

    def longest_waiting(self) -> Place | None:
        """Return the first place of the queue."""
        return self.waiting.get(self.head)


Advance = tuple[Frontier, list[Place]]
"""A frontier after an event, and places that are ready and need no slot."""


def arrive(
    frontier: Frontier,
    definition: Definition,
    state: Execution,
    scope: str,
    node_ids: Sequence[str],
) -> Advance:
    """Count an arrival at each of these nodes of a scope."""
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
        frontier = replace(frontier, arrived=arrived.finish())
    for place in ready:
        if graph.nodes[place[1]].takes_slot:
            frontier = frontier.with_waiting(place)
    return frontier, [p for p in ready if not graph.nodes[p[1]].takes_slot]


def pass_node(
    frontier: Frontier, definition: Definition, state: Execution, site: Site
) -> Advance:
    """Let a node that has ended arrive at its downstream nodes."""
    if site.element is not None:
        return frontier, []
    graph = graph_of(definition, state, site.scope)
    downstream = graph.downstream.get(site.spec_node_id, ())
    return arrive(frontier, definition, state, site.scope, downstream)


def rebuild(definition: Definition, state: Execution) -> Frontier:
    """Return the frontier of a restored state: once, O(nodes)."""
    frontier = Frontier()
    nodes = [n for n in state.nodes.values() if not is_superseded(state, n.site)]
    for node in nodes:
        frontier = _replay(frontier, definition, state, node)
    queued = set(frontier.numbers)
    for place in queued:
        frontier = frontier.without(place)
    reached = {
        (n.site.scope, n.site.spec_node_id) for n in nodes if n.site.element is None
    }
    order = {
        (scope, node_id): number
        for scope in {scope for scope, _ in queued}
        for number, node_id in enumerate(graph_of(definition, state, scope).nodes)
    }
    for place in sorted(queued, key=lambda p: (p[0], order[p])):
        if place not in reached and not is_over(state, place[0]):
            frontier = frontier.with_waiting(place)
    return frontier


def _replay(
    frontier: Frontier, definition: Definition, state: Execution, node: Node
) -> Frontier:
    """Return the frontier after all that a node's own events let arrive."""
    site = node.site
    if site.element is not None:
        return frontier
    if node.chosen_arm is not None:
        arm = (node.chosen_arm,)
        frontier, _ = arrive(frontier, definition, state, site.scope, arm)
    if node.is_terminal and node.phase is not NodePhase.ABORTED:
        frontier, _ = pass_node(frontier, definition, state, site)
    return frontier

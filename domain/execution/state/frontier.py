"""The frontier: how many of a node's upstreams have ended, and who waits for a slot.

It follows from the graph and the events alone, is never stored, and grows by O(1) for
each edge that an event passes: no decision walks the whole graph.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from immutables import Map
from msgspec.structs import replace

from domain.execution.state.state import Execution, Node
from domain.graph import Definition, Graph
from schemas import sites
from schemas.messages import node_events as ne
from schemas.phases import ExecutionPhase, NodePhase
from schemas.sites import NodeSite

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
        """Let a ready place wait for a slot."""
        return replace(
            self,
            waiting=self.waiting.set(self.tail, place),
            numbers=self.numbers.set(place, self.tail),
            tail=self.tail + 1,
        )

    def without(self, place: Place) -> Frontier:
        """Take a place out of the queue; one that doesn't wait changes nothing."""
        number = self.numbers.get(place)
        if number is None:
            return self
        waiting, head = self.waiting.delete(number), self.head
        while head < self.tail and head not in waiting:
            head += 1
        numbers = self.numbers.delete(place)
        return replace(self, waiting=waiting, numbers=numbers, head=head)

    def longest_waiting(self) -> Place | None:
        """Return the place that has waited longest."""
        return self.waiting.get(self.head)


def graph_of(definition: Definition, state: Execution, scope: str) -> Graph:
    """Return the graph whose nodes live in this scope."""
    owner = owner_of(definition, state, scope)
    if not scope or scope in definition.dynamic_closures:
        return owner.primary
    target = state.nodes[scope].site.target
    assert target is not None  # noqa: S101 - only sub-workflow nodes are scopes
    return owner.sub_workflows[target]


def owner_of(definition: Definition, state: Execution, scope: str) -> Definition:
    """Return the closure that a scope is of: a dynamic node's or the execution's."""
    while scope:
        inside = definition.dynamic_closures.get(scope)
        if inside is not None:
            return inside
        scope = state.nodes[scope].site.scope
    return definition


def advance(
    frontier: Frontier, definition: Definition, state: Execution, event: object
) -> tuple[Frontier, list[Place]]:
    """Count what an event lets arrive; also return ready places that need no slot.

    Ready places that take a slot join the queue. `state` is the state after the event.
    """
    match event:
        case (
            ne.NodeQueued(site=site)
            | ne.NodeResolving(site=site)
            | ne.CacheLookupRequested(site=site)
            | ne.NodeSkipped(site=site)
            | ne.NodeRecovered(site=site)
        ) if site.element >= 0:
            return frontier, []
        case (
            ne.NodeQueued(site=site)
            | ne.NodeResolving(site=site)
            | ne.CacheLookupRequested(site=site)
        ):
            return frontier.without((site.scope, site.spec_node_id)), []
        case ne.NodeSkipped(site=site) | ne.NodeRecovered(site=site):
            frontier = frontier.without((site.scope, site.spec_node_id))
            return _passed(frontier, definition, state, site)
        case ne.BranchDecided(node_id=node_id, chosen=chosen):
            scope = state.nodes[node_id].site.scope
            return _arrive(frontier, definition, state, scope, (chosen,))
        case (
            ne.NodeSucceeded(node_id=node_id)
            | ne.NodeFailed(node_id=node_id)
            | ne.NodeTimedOut(node_id=node_id)
        ) if state.nodes[node_id].site.element >= 0:
            return frontier, []
        case ne.NodeSucceeded(node_id=node_id):
            return _passed(frontier, definition, state, state.nodes[node_id].site)
        case ne.NodeFailed(node_id=node_id) | ne.NodeTimedOut(node_id=node_id):
            node = state.nodes[node_id]
            frontier = _without_inside(frontier, state, node)
            return _passed(frontier, definition, state, node.site)
        case ne.NodeAborted(node_id=node_id) | ne.NodeRetryScheduled(node_id=node_id):
            return _without_inside(frontier, state, state.nodes[node_id]), []
        case _:
            return frontier, []


def _passed(
    frontier: Frontier, definition: Definition, state: Execution, site: sites.NodeSite
) -> tuple[Frontier, list[Place]]:
    graph = graph_of(definition, state, site.scope)
    after = graph.downstream.get(site.spec_node_id, ())
    return _arrive(frontier, definition, state, site.scope, after)


def _without_inside(frontier: Frontier, state: Execution, node: Node) -> Frontier:
    """Take what waits in a scope that ended badly out of the queue.

    Of what a task made nothing is kept: the next attempt makes another.
    """
    if not node.is_scope:
        return frontier
    scope = node.site.node_id
    for place in [p for p in frontier.numbers if p[0] == scope]:
        frontier = frontier.without(place)
    if node.inside is None:
        return frontier
    gone = [p for p in frontier.arrived if _is_within(state, p[0], scope)]
    with frontier.arrived.mutate() as places:
        for place in gone:
            del places[place]
        left = places.finish()
    return replace(frontier, arrived=left)


def _is_within(state: Execution, scope: str, outer: str) -> bool:
    while scope and scope != outer:
        scope = state.nodes[scope].site.scope
    return scope == outer


def is_superseded(state: Execution, site: NodeSite) -> bool:
    """Tell whether a node lies in what a task made that has ended or is tried again."""
    while site.parent_id:
        parent = state.nodes[site.parent_id]
        is_over = parent.is_terminal or parent.phase is NodePhase.RETRYABLE_FAILURE
        is_over = is_over or parent.attempt != site.parent_attempt
        if parent.site.kind == "task" and is_over:
            return True
        site = parent.site
    return False


def rebuild(definition: Definition, state: Execution) -> Frontier:
    """Return the frontier of a restored state: once, O(nodes)."""
    frontier = Frontier()
    nodes = [n for n in state.nodes.values() if not is_superseded(state, n.site)]
    for node in nodes:
        for event in _history(node):
            frontier, _ = advance(frontier, definition, state, event)
    queued = set(frontier.numbers)
    for place in queued:
        frontier = frontier.without(place)
    reached = {(n.site.scope, n.site.spec_node_id) for n in nodes if n.site.element < 0}
    order = {
        (scope, node_id): number
        for scope in {scope for scope, _ in queued}
        for number, node_id in enumerate(graph_of(definition, state, scope).nodes)
    }
    for place in sorted(queued, key=lambda p: (p[0], order[p])):
        if place not in reached and not _is_over(state, place[0]):
            frontier = frontier.with_waiting(place)
    return frontier


def _is_over(state: Execution, scope: str) -> bool:
    if state.is_terminal or not scope:
        return state.phase is not ExecutionPhase.RUNNING
    node = state.nodes[scope]
    return node.is_terminal or node.phase is NodePhase.FAILING


def _history(node: Node) -> Iterator[object]:
    """Return events that let arrive what the node's own events let arrive."""
    if node.site.element >= 0:
        return
    if node.chosen:
        yield ne.BranchDecided(
            occurred_at_us=0, node_id=node.site.node_id, chosen=node.chosen
        )
    if node.is_terminal and node.phase is not NodePhase.ABORTED:
        yield ne.NodeSkipped(occurred_at_us=0, site=node.site)


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
        frontier = replace(frontier, arrived=arrived.finish())
    for place in ready:
        if graph.nodes[place[1]].takes_slot:
            frontier = frontier.with_waiting(place)
    return frontier, [p for p in ready if not graph.nodes[p[1]].takes_slot]

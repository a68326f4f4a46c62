"""How an event moves the frontier: a function for each event that does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never, TypeVar

from msgspec.structs import replace

from domain.execution.state.frontier import Advance, Frontier, arrive, pass_node
from domain.execution.state.node import Node
from domain.execution.state.scopes import is_within
from domain.execution.state.state import Execution
from domain.graph import Definition
from schemas.messages import node_events as ne
from schemas.messages.execution_events import ExecutionEvent


def advance(
    frontier: Frontier, definition: Definition, state: Execution, event: ExecutionEvent
) -> Advance:
    """Return the frontier after an event; ready places that take a slot queue in it.

    `state` is the state after the event. Elements of arrays have no place.
    """
    move = _MOVES.get(type(event))
    if move is None:
        return frontier, []
    return move(frontier, definition, state, event)  # type: ignore[arg-type]  # _on pairs them


def _reached(
    frontier: Frontier,
    _definition: Definition,
    state: Execution,
    event: ne.NodeQueued | ne.NodeResolving | ne.CacheLookupRequested,
) -> Advance:
    site = state.nodes[event.site.node_id].site
    if site.element is not None:
        return frontier, []
    return frontier.without((site.scope, site.spec_node_id)), []


def _passed_over(
    frontier: Frontier,
    definition: Definition,
    state: Execution,
    event: ne.NodeSkipped | ne.NodeRecovered,
) -> Advance:
    site = state.nodes[event.site.node_id].site
    if site.element is None:
        frontier = frontier.without((site.scope, site.spec_node_id))
    return pass_node(frontier, definition, state, site)


def _branch_decided(
    frontier: Frontier,
    definition: Definition,
    state: Execution,
    event: ne.BranchDecided,
) -> Advance:
    scope = state.nodes[event.node_id].site.scope
    return arrive(frontier, definition, state, scope, (event.chosen,))


def _succeeded(
    frontier: Frontier,
    definition: Definition,
    state: Execution,
    event: ne.NodeSucceeded,
) -> Advance:
    return pass_node(frontier, definition, state, state.nodes[event.node_id].site)


def _failed(
    frontier: Frontier,
    definition: Definition,
    state: Execution,
    event: ne.NodeFailed | ne.NodeTimedOut,
) -> Advance:
    node = state.nodes[event.node_id]
    frontier = _without_scope(frontier, state, node)
    return pass_node(frontier, definition, state, node.site)


def _stopped(
    frontier: Frontier,
    _definition: Definition,
    state: Execution,
    event: ne.NodeAborted | ne.NodeRetryScheduled,
) -> Advance:
    return _without_scope(frontier, state, state.nodes[event.node_id]), []


_Move = Callable[[Frontier, Definition, Execution, Never], Advance]
_E = TypeVar("_E", bound=ne.Event)


def _on(
    event: type[_E], move: Callable[[Frontier, Definition, Execution, _E], Advance]
) -> tuple[type[ne.Event], _Move]:
    """Pair an event's class with its function, whose types must agree."""
    return event, move


_MOVES: dict[type[ne.Event], _Move] = dict(
    (
        _on(ne.NodeQueued, _reached),
        _on(ne.NodeResolving, _reached),
        _on(ne.CacheLookupRequested, _reached),
        _on(ne.NodeSkipped, _passed_over),
        _on(ne.NodeRecovered, _passed_over),
        _on(ne.BranchDecided, _branch_decided),
        _on(ne.NodeSucceeded, _succeeded),
        _on(ne.NodeFailed, _failed),
        _on(ne.NodeTimedOut, _failed),
        _on(ne.NodeAborted, _stopped),
        _on(ne.NodeRetryScheduled, _stopped),
    )
)
"""What the events that move the frontier do to it."""


def _without_scope(frontier: Frontier, state: Execution, node: Node) -> Frontier:
    """Remove what queues in a scope that failed; a dynamic one may be tried again.

    The next attempt returns another workflow, so nothing of this one may stay.
    """
    if not node.is_scope:
        return frontier
    scope = node.site.node_id
    for place in [p for p in frontier.numbers if p[0] == scope]:
        frontier = frontier.without(place)
    if node.dynamic_closure is None:
        return frontier
    gone = [p for p in frontier.arrived if is_within(state, p[0], scope)]
    with frontier.arrived.mutate() as places:
        for place in gone:
            del places[place]
        left = places.finish()
    return replace(frontier, arrived=left)

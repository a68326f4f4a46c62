"""Traversal: enters every node that is ready, until nothing more is."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.nodes import array, dynamic, entry
from domain.execution.outcomes import failure_node, recovery
from domain.execution.outcomes.completion import (
    end_branch_blocked,
    end_scope_blocked,
    fail_node,
)
from domain.execution.outcomes.inputs import resolve_inputs
from domain.execution.state.frontier import Place
from domain.execution.state.site import Site
from domain.execution.view import ExecutionView
from domain.graph import GraphNode
from schemas.messages.node_events import NodeResolving, NodeSkipped
from schemas.phases import NodePhase
from schemas.sites import NodeKind
from schemas.values import NO_VALUES, Failure

_BLOCKING = frozenset({NodePhase.SKIPPED, NodePhase.FAILED, NodePhase.TIMED_OUT})


def settle(decision: Decision) -> None:
    """Enter every node that is ready and has a slot (ref §4.3, §4.4)."""
    while not decision.state.is_terminal:
        if decision.to_retry:
            dynamic.try_again(decision, *decision.to_retry.popitem())
        elif decision.ready:
            _reach(decision, decision.ready.popleft())
        elif decision.changed_arrays:
            array.proceed(decision, decision.changed_arrays.popitem()[0])
        elif (waiting := decision.frontier.longest_waiting()) and _has_slot(decision):
            decision.frontier = decision.frontier.without(waiting)
            _reach(decision, waiting)
        else:
            return


def _has_slot(view: ExecutionView) -> bool:
    limit = view.created.max_parallelism
    return limit <= 0 or view.state.slots < limit


def _reach(decision: Decision, place: Place) -> None:
    """Enter the node at a ready place, or skip it; nothing if its scope has ended."""
    scope, spec_node_id = place
    graph_node = decision.graph(scope).nodes[spec_node_id]
    if not failure_node.is_open(decision, scope, graph_node):
        return
    site = _site(decision, scope, graph_node)
    if _is_blocked(decision, scope, graph_node):
        _skip(decision, site)
        return
    if recovery.recover(decision, site):
        return
    inputs = resolve_inputs(decision, scope, graph_node)
    if inputs is None:
        decision.emit(
            NodeResolving(occurred_at_us=decision.now_us, site=site.to_message())
        )
    elif isinstance(inputs, Failure):
        entry.queue(decision, site, NO_VALUES)
        fail_node(decision, site.node_id, inputs)
    else:
        entry.begin(decision, site, inputs)


def _is_blocked(view: ExecutionView, scope: str, graph_node: GraphNode) -> bool:
    """Return whether a node upstream did not succeed."""
    if scope not in view.state.failures:
        return False
    return any(
        view.node(view.unique_id(scope, upstream)).phase in _BLOCKING
        for upstream in graph_node.upstream
    )


def _skip(decision: Decision, site: Site) -> None:
    decision.emit(NodeSkipped(occurred_at_us=decision.now_us, site=site.to_message()))
    if site.kind is NodeKind.END:
        end_scope_blocked(decision, site.scope)
    else:
        end_branch_blocked(decision, site.node_id)


def _site(view: ExecutionView, scope: str, graph_node: GraphNode) -> Site:
    parent = view.parent_id(scope, graph_node.id)
    return Site(
        node_id=view.unique_id(scope, graph_node.id),
        spec_node_id=graph_node.id,
        kind=graph_node.kind,
        name=graph_node.spec.metadata.name,
        parent_id=parent,
        parent_attempt=view.node(parent).attempt if parent else 0,
        scope=scope,
        target=graph_node.target,
    )

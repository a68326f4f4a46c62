"""Recovering: nodes that succeeded in another execution aren't run again (ref §9)."""

from __future__ import annotations

from domain.execution.decision import Decision
from domain.execution.outcomes.completion import succeed_branch_around
from domain.execution.state.node import Node
from domain.execution.state.saved_nodes import DynamicWorkflow, Path, SavedNode
from domain.execution.state.site import Site
from domain.execution.view import ExecutionView
from domain.graph import GraphNode
from schemas.ids import ExecutionRef
from schemas.messages.node_events import NodeRecovered
from schemas.sites import NodeKind

_NEVER_RECOVERED = frozenset({NodeKind.START, NodeKind.END})


def recover(decision: Decision, site: Site) -> bool:
    """End a node as the original execution did; return whether it succeeded there."""
    saved = saved_node(decision, site)
    if saved is None or not saved.succeeded or site.kind in _NEVER_RECOVERED:
        return False
    outputs = decision.within_budget(saved.outputs)
    decision.emit(
        NodeRecovered(
            occurred_at_us=decision.now_us,
            site=site.to_message(),
            inputs=saved.inputs,
            input_path=saved.input_path,
            outputs=outputs,
            deck_uri=saved.deck_uri,
            child=saved.child,
            cache_status=saved.cache_status or "",
            catalog=saved.catalog,
            source=saved.source,
        )
    )
    if site.element is None:
        succeed_branch_around(decision, site.node_id, outputs)
    return True


def saved_child(view: ExecutionView, node: Node) -> ExecutionRef | None:
    """Return the child that a node had in the original, where it didn't succeed."""
    saved = None if node.attempt else saved_node(view, node.site)
    return saved.child if saved is not None else None


def saved_workflow(view: ExecutionView, site: Site) -> DynamicWorkflow | None:
    """Return the workflow that a node's task returned before the node failed."""
    saved = saved_node(view, site)
    if saved is None or site.node_id not in view.definition.dynamic_closures:
        return None
    return saved.dynamic_workflow


def saved_node(view: ExecutionView, site: Site) -> SavedNode | None:
    """Return what the original execution saved of the node at a site.

    Where a task returns another workflow than it did then, nothing inside is reused.
    """
    recovery = view.context.recovery
    if not recovery:
        return None
    path = _path(view, site)
    saved = recovery.get(path)
    parent = site.parent_id
    while parent and saved is not None:
        above, path = view.node(parent), path[:-1]
        if above.dynamic_closure is not None:
            around = recovery.get(path)
            workflow = around.dynamic_workflow if around is not None else None
            if workflow is None or workflow.closure != above.dynamic_closure:
                return None
        parent = above.site.parent_id
    if saved is None or _differs(saved, site) or _cleans_up(view, site):
        return None
    return saved


def _differs(saved: SavedNode, site: Site) -> bool:
    return (saved.site.kind, saved.site.target) != (site.kind, site.target)


def _cleans_up(view: ExecutionView, site: Site) -> bool:
    """Return whether a node belongs to a failure node: cleaning up is done again."""
    while site.element is not None or not _graph_node(view, site).is_failure:
        above = site.parent_id if site.element is not None else site.scope
        if not above:
            return False
        site = view.node(above).site
    return True


def _graph_node(view: ExecutionView, site: Site) -> GraphNode:
    return view.graph(site.scope).nodes[site.spec_node_id]


def _path(view: ExecutionView, site: Site) -> Path:
    parts, parent = [site.spec_node_id], site.parent_id
    while parent:
        above = view.node(parent).site
        parts.append(above.spec_node_id)
        parent = above.parent_id
    return tuple(reversed(parts))

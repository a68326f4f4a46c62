"""Recovering: nodes that succeeded before aren't run again (ref §9)."""

from __future__ import annotations

from domain.execution.decision import Step
from domain.execution.outcomes.completion import succeed_branch_around
from domain.execution.state.saved_nodes import Made, Path, Saved
from domain.execution.state.state import Node
from domain.graph import GraphNode
from schemas.ids import ExecutionRef
from schemas.messages.node_events import NodeRecovered
from schemas.sites import NodeSite

_ALWAYS_ANEW = frozenset({"start", "end"})


def recover(step: Step, site: NodeSite) -> bool:
    """Take a node over from the execution that this one recovers; tell whether so."""
    known = left_of(step, site)
    if known is None or not known.succeeded or site.kind in _ALWAYS_ANEW:
        return False
    step.emit(
        NodeRecovered(
            occurred_at_us=step.now_us,
            site=site,
            inputs=known.inputs,
            input_path=known.input_path,
            outputs=known.outputs,
            deck_uri=known.deck_uri,
            child=known.child,
            cache_status=known.cache_status,
            catalog=known.catalog,
            source=known.source,
        )
    )
    if site.element < 0:
        succeed_branch_around(step, site.node_id, known.outputs)
    return True


def lost_child(step: Step, node: Node) -> ExecutionRef | None:
    """Return the child that a node had asked for before in vain."""
    known = None if node.attempt else left_of(step, node.site)
    return known.child if known is not None else None


def made_before(step: Step, site: NodeSite) -> Made | None:
    """Return the workflow that a node's task had made before it failed within it."""
    known = left_of(step, site)
    if known is None or site.node_id not in step.definition.dynamic_closures:
        return None
    return known.made


def _cleans_up(step: Step, site: NodeSite) -> bool:
    """Tell whether a node is of a failure node: what fails anew is cleaned up anew."""
    while site.element >= 0 or not _graph_node(step, site).is_failure:
        above = site.parent_id if site.element >= 0 else site.scope
        if not above:
            return False
        site = step.node(above).site
    return True


def _graph_node(step: Step, site: NodeSite) -> GraphNode:
    return step.graph(site.scope).nodes[site.spec_node_id]


def left_of(step: Step, site: NodeSite) -> Saved | None:
    """Return what the original left of the node at a site.

    Where a task made another workflow than then, nothing within is taken over.
    """
    if not step.context.recovery:
        return None
    path = _path(step, site)
    known = step.context.recovery.get(path)
    parent = site.parent_id
    while parent and known is not None:
        above, path = step.node(parent), path[:-1]
        around = step.context.recovery.get(path)
        was = around.made.inside if around is not None and around.made else None
        if above.inside is not None and above.inside != was:
            return None
        parent = above.site.parent_id
    if known is None or (known.site.kind, known.site.target) != (
        site.kind,
        site.target,
    ):
        return None
    return None if _cleans_up(step, site) else known


def _path(step: Step, site: NodeSite) -> Path:
    parts, parent = [site.spec_node_id], site.parent_id
    while parent:
        above = step.node(parent).site
        parts.append(above.spec_node_id)
        parent = above.parent_id
    return tuple(reversed(parts))

"""Recovering: nodes that succeeded before aren't run again (ref §9)."""

from __future__ import annotations

from domain.execution.finishing import succeed_branch_around
from domain.execution.step import Step
from schemas.events import NodeRecovered, NodeSite
from schemas.ids import ExecutionRef

_ALWAYS_ANEW = frozenset({"start", "end"})


def recover(step: Step, site: NodeSite) -> bool:
    """Take a node over from the execution that this one recovers; tell whether so."""
    known = step.context.recovery.get(site.node_id)
    if known is None or not known.succeeded or site.kind in _ALWAYS_ANEW:
        return False
    if _place(known.site) != _place(site):
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


def lost_child(step: Step, node_id: str) -> ExecutionRef | None:
    """Return the child that a node had asked for before in vain."""
    known = step.context.recovery.get(node_id)
    return known.child if known is not None else None


def _place(site: NodeSite) -> tuple[object, ...]:
    return site.kind, site.spec_node_id, site.parent_id, site.element, site.target

"""Cached nodes: looked up before they are queued, stored when they succeed (ref §7)."""

from __future__ import annotations

from domain.execution.context import Context
from domain.execution.decision import Decision
from domain.execution.state.site import Site
from domain.execution.state.state import Execution
from domain.execution.view import ExecutionView, literal_map
from domain.literals import array_values
from domain.literals.cache_keys import CachePolicy, cache_policy
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.sites import NodeKind
from schemas.values import NO_VALUES, Values


def policy_at(view: ExecutionView, site: Site) -> CachePolicy | None:
    """Return how the node at a site is cached; None if it isn't."""
    if site.kind is not NodeKind.TASK:
        return None
    return cache_policy(view.task_template(site), view.graph_node(site).spec)


def look_up(
    event: ne.CacheLookupRequested, state: Execution, context: Context
) -> d.LookUpCache:
    """Return the dispatch that looks a node's outputs up."""
    view = ExecutionView(state, context)
    site = view.node(event.site.node_id).site
    policy = policy_at(view, site)
    assert policy is not None  # noqa: S101 - only cached nodes are looked up
    interface = view.task_template(site).interface
    inputs, bindings = _key_inputs(view, site, event.inputs)
    return d.LookUpCache(
        stream=context.stream,
        node_id=site.node_id,
        attempt=0,
        task=site.entity,
        cache_version=policy.version,
        interface=interface.SerializeToString(deterministic=True),
        inputs=inputs,
        bindings=bindings,
        ignored=policy.ignored,
        serializes=policy.serializes,
        overwrites=view.spec.overwrite_cache,
    )


def _key_inputs(
    view: ExecutionView, site: Site, inputs: Values
) -> tuple[Values, tuple[bytes, ...]]:
    """Return the inputs that determine the key, and bindings that select parts of them.

    For an element that is given all lists, these are its own items.
    """
    if site.element is None:
        return inputs, ()
    owner = view.node(site.parent_id)
    graph_node = view.graph_node(owner.site)
    if array_values.is_sliced(graph_node):
        return inputs, ()
    names = [binding.var for binding in graph_node.spec.inputs]
    bound = graph_node.spec.array_node.bound_inputs
    bindings = array_values.element_bindings(names, bound, site.element)
    lists = owner.inputs or NO_VALUES
    return lists, tuple(b.SerializeToString() for b in bindings)


def answered(decision: Decision, report: c.ReportCacheLookedUp) -> None:
    """Record what the catalog answered."""
    decision.emit(
        ne.CacheLookedUp(
            occurred_at_us=decision.now_us,
            node_id=report.node_id,
            status=report.status,
            key=report.key,
            source=report.source,
            reservation=report.reservation,
        )
    )


def store_outputs(decision: Decision, node_id: str, outputs: Values) -> None:
    """Store a node's outputs in the catalog, if they weren't found there."""
    node = decision.node(node_id)
    key = node.cache.key if node.cache else None
    if key is None:
        return
    missing = _missing(decision, node.site, outputs)
    if missing:
        reason = f"Expected all outputs of the task, but there is no '{missing[0]}'"
        decision.emit(
            ne.CachePutFailed(
                occurred_at_us=decision.now_us, node_id=node_id, key=key, reason=reason
            )
        )
        return
    decision.emit(
        ne.CachePopulated(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            attempt=node.attempt,
            key=key,
            task=node.site.entity,
            outputs=outputs,
        )
    )


def _missing(view: ExecutionView, site: Site, outputs: Values) -> list[str]:
    """Return declared outputs that are missing, where outputs are inline."""
    if outputs.inline is None:
        return []
    declared = view.task_template(site).interface.outputs.variables
    return sorted(set(declared) - set(literal_map(outputs.inline).literals))

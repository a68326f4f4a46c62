"""Cached nodes: looked up before they are queued, kept when they succeed (ref §7)."""

from __future__ import annotations

from domain.execution.context import Context
from domain.execution.decision import Step, execution_spec, literal_map
from domain.execution.state.state import Execution, Node
from domain.literals import array_values
from domain.literals.cache_keys import CachePolicy, cache_policy
from schemas import sites
from schemas.messages import commands as c
from schemas.messages import dispatches as d
from schemas.messages import node_events as ne
from schemas.values import NO_VALUES, Values


def policy_at(step: Step, site: sites.NodeSite) -> CachePolicy | None:
    """Return how the node of a site is cached, None if it isn't."""
    if site.kind != "task" or site.target is None:
        return None
    if site.element >= 0:
        element = step.graph_node(step.node(site.parent_id)).element
        assert element is not None  # noqa: S101 - arrays have one
        return cache_policy(step.task_template(site), element.spec)
    spec = step.graph(site.scope).nodes[site.spec_node_id].spec
    return cache_policy(step.task_template(site), spec)


def look_up(
    event: ne.CacheLookupRequested, state: Execution, context: Context
) -> d.LookUpCache:
    """Return the work of looking a node's outputs up."""
    step, site = Step(state, context), event.site
    policy, task = policy_at(step, site), site.target
    assert policy is not None  # noqa: S101 - else it wouldn't have been asked for
    assert task is not None  # noqa: S101
    interface = step.task_template(site).interface
    inputs, bindings = _what_counts(step, event)
    return d.LookUpCache(
        stream=context.stream,
        node_id=site.node_id,
        attempt=0,
        task=task,
        cache_version=policy.version,
        interface=interface.SerializeToString(deterministic=True),
        inputs=inputs,
        bindings=bindings,
        ignored=policy.ignored,
        serializes=policy.serializes,
        overwrites=execution_spec(step.created.spec).overwrite_cache,
    )


def _what_counts(
    step: Step, event: ne.CacheLookupRequested
) -> tuple[Values, tuple[bytes, ...]]:
    """Return the inputs that are the key, and bindings if it is in a part of them.

    An element that is given the whole lists counts by its own items.
    """
    site = event.site
    if site.element < 0:
        return event.inputs, ()
    owner = step.node(site.parent_id)
    graph_node = step.graph_node(owner)
    if array_values.is_sliced(graph_node):
        return event.inputs, ()
    names = [binding.var for binding in graph_node.spec.inputs]
    bound = graph_node.spec.array_node.bound_inputs
    bindings = array_values.element_bindings(names, bound, site.element)
    whole = owner.inputs or NO_VALUES
    return whole, tuple(b.SerializeToString() for b in bindings)


def stop_waiting(event: ne.NodeAborted, context: Context) -> d.AbortTask:
    """Return the word to stop waiting for outputs that another node makes."""
    return d.AbortTask(
        stream=context.stream,
        node_id=event.node_id,
        attempt=0,
        reason=event.failure.message,
    )


def queue(step: Step, node: Node) -> None:
    """Queue a node as it was when it was looked up."""
    step.emit(
        ne.NodeQueued(
            occurred_at_us=step.now_us,
            site=node.site,
            inputs=node.inputs or NO_VALUES,
            input_path=node.input_path,
        )
    )


def answered(step: Step, report: c.ReportCacheLookedUp) -> None:
    """Take the catalog's answer up."""
    step.emit(
        ne.CacheLookedUp(
            occurred_at_us=step.now_us,
            node_id=report.node_id,
            status=report.status,
            key=report.key,
            source=report.source,
            reservation=report.reservation,
        )
    )


def keep_outputs(step: Step, node_id: str, outputs: Values) -> None:
    """Keep a node's outputs in the catalog, if it was looked up there in vain."""
    node = step.node(node_id)
    key, task = node.catalog, node.site.target
    if key is None or task is None:
        return
    missing = _missing(step, node.site, outputs)
    if missing:
        reason = f"Expected all outputs of the task, but there is no '{missing[0]}'"
        step.emit(
            ne.CachePutFailed(
                occurred_at_us=step.now_us, node_id=node_id, key=key, reason=reason
            )
        )
        return
    step.emit(
        ne.CachePopulated(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=node.attempt,
            key=key,
            task=task,
            outputs=outputs,
        )
    )


def _missing(step: Step, site: sites.NodeSite, outputs: Values) -> list[str]:
    """Return declared outputs that aren't there, as far as can be seen."""
    if outputs.inline is None or site.target is None:
        return []
    declared = step.task_template(site).interface.outputs.variables
    return sorted(set(declared) - set(literal_map(outputs.inline).literals))

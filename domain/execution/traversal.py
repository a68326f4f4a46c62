"""Traversal: from what has ended to what may begin, until nothing more is ready."""

from __future__ import annotations

from collections.abc import Callable

from domain.execution.decision import Step, literal_map
from domain.execution.nodes import (
    array,
    boundary,
    branch,
    dynamic,
    gate,
    launch_plan,
    subworkflow,
    task,
)
from domain.execution.outcomes import failure_node, recovery
from domain.execution.outcomes.caching import policy_at
from domain.execution.outcomes.completion import (
    end_branch_blocked,
    end_scope_blocked,
    fail_node,
)
from domain.execution.outcomes.inputs import data_path, inline_max, source
from domain.execution.state.frontier import Place
from domain.graph import GraphNode
from domain.literals.bindings import resolve, source_node_ids
from domain.literals.dataclass_times import restore
from domain.literals.offloading import (
    inspected_inputs,
    offloaded_in_promises,
    offloaded_inputs,
)
from schemas.messages.node_events import (
    CacheLookupRequested,
    NodeQueued,
    NodeResolving,
    NodeSkipped,
)
from schemas.phases import NodePhase
from schemas.sites import NodeSite
from schemas.values import NO_VALUES, Failure, Values

ENTER: dict[str, Callable[[Step, str, Values], None]] = {
    "start": boundary.enter_start,
    "end": boundary.enter_end,
    "task": task.enter,
    "workflow": subworkflow.enter,
    "launch_plan": launch_plan.enter,
    "branch": branch.enter,
    "array": array.enter,
    "gate": gate.enter,
}

_BLOCKING = frozenset({NodePhase.SKIPPED, NodePhase.FAILED, NodePhase.TIMED_OUT})


def settle(step: Step) -> None:
    """Enter every node that is ready and has a slot (ref §4.3, §4.4)."""
    while not step.state.is_terminal:
        if step.to_retry:
            dynamic.try_again(step, *step.to_retry.popitem())
            continue
        if step.ready:
            place = step.ready.popleft()
        elif step.arrays:
            array.proceed(step, step.arrays.popitem()[0])
            continue
        elif (waiting := step.frontier.longest_waiting()) and _has_slot(step):
            place = waiting
            step.frontier = step.frontier.without(place)
        else:
            return
        _reach(step, place, step.graph(place[0]).nodes[place[1]])


def _has_slot(step: Step) -> bool:
    limit = step.created.max_parallelism
    return limit <= 0 or step.state.slots < limit


def _reach(step: Step, place: Place, graph_node: GraphNode) -> None:
    scope, _ = place
    if not failure_node.is_open(step, scope, graph_node):
        return
    if _is_blocked(step, scope, graph_node):
        site = _site(step, place)
        step.emit(NodeSkipped(occurred_at_us=step.now_us, site=site))
        if graph_node.kind == "end":
            end_scope_blocked(step, scope)
        else:
            end_branch_blocked(step, site.node_id)
        return
    site = _site(step, place)
    if recovery.recover(step, site):
        return
    inputs = _inputs(step, scope, graph_node)
    if inputs is None:
        step.emit(NodeResolving(occurred_at_us=step.now_us, site=site))
        return
    if isinstance(inputs, Failure):
        enter(step, site, NO_VALUES, proceed=False)
        fail_node(step, site.node_id, inputs)
        return
    begin(step, site, inputs)


def begin(step: Step, site: NodeSite, inputs: Values) -> None:
    """Enter a node whose inputs are known; one with a cache is looked up first."""
    made = recovery.made_before(step, site)
    if made is not None:
        enter(step, site, inputs, proceed=False)
        dynamic.expand_again(step, site.node_id, made)
        return
    if policy_at(step, site) is None:
        enter(step, site, inputs)
        return
    step.emit(
        CacheLookupRequested(
            occurred_at_us=step.now_us,
            site=site,
            inputs=inputs,
            input_path=f"{data_path(step, site)}/inputs.pb",
        )
    )


def enter(step: Step, site: NodeSite, inputs: Values, *, proceed: bool = True) -> None:
    """Queue a node with its inputs, and begin what its kind does."""
    step.emit(
        NodeQueued(
            occurred_at_us=step.now_us,
            site=site,
            inputs=inputs,
            input_path=f"{data_path(step, site)}/inputs.pb",
        )
    )
    if proceed:
        ENTER.get(site.kind, _refuse)(step, site.node_id, inputs)


def _is_blocked(step: Step, scope: str, graph_node: GraphNode) -> bool:
    if scope not in step.state.failures:
        return False
    nodes = step.state.nodes
    return any(
        nodes[step.unique_id(scope, before)].phase in _BLOCKING
        for before in graph_node.upstream
    )


def _inputs(step: Step, scope: str, graph_node: GraphNode) -> Values | Failure | None:
    """Return a node's inputs; None where a runner must resolve or offload them."""
    if graph_node.kind == "start":
        return _scope_inputs(step, scope)
    bindings = failure_node.bindings_of(step, scope, graph_node)
    sources = {}
    for upstream in source_node_ids(bindings):
        values = source(step, scope, upstream)
        if values.inline is None:
            return None
        sources[upstream] = literal_map(values.inline)
    if offloaded_in_promises(bindings, sources):
        return None
    resolved = resolve(bindings, sources)
    if isinstance(resolved, Failure):
        return resolved
    interface = step.interface(scope, graph_node)
    if interface is not None:
        restore(resolved, interface.inputs.variables)
    if offloaded_inputs(resolved, inspected_inputs(graph_node)):
        return None
    data = resolved.SerializeToString(deterministic=True)
    if len(data) > inline_max(graph_node, step.context.limits.inline_bytes):
        return None
    return Values(inline=data)


def _scope_inputs(step: Step, scope: str) -> Values:
    """Return what a workflow is given; one that a task made asks for nothing."""
    if not scope:
        return step.created.inputs
    if step.node(scope).inside is not None:
        return NO_VALUES
    return step.node(scope).inputs or NO_VALUES


def _site(step: Step, place: Place) -> NodeSite:
    scope, spec_node_id = place
    graph_node = step.graph(scope).nodes[spec_node_id]
    parent = step.parent_id(scope, spec_node_id)
    return NodeSite(
        node_id=step.unique_id(scope, spec_node_id),
        spec_node_id=spec_node_id,
        kind=graph_node.kind,
        name=graph_node.spec.metadata.name,
        parent_id=parent,
        parent_attempt=step.node(parent).attempt if parent else 0,
        scope=scope,
        target=graph_node.target,
    )


def _refuse(step: Step, node_id: str, _inputs: Values) -> None:
    kind = step.node(node_id).site.kind
    message = f"Expected a node that this engine runs, but '{kind}' nodes aren't yet"
    fail_node(step, node_id, Failure(code="Unimplemented", message=message))

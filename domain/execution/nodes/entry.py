"""Entering nodes: what each kind does once its inputs are known, and those reports."""

from __future__ import annotations

from collections.abc import Callable

from domain.execution.decision import Decision
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
from domain.execution.outcomes import caching, recovery
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.outcomes.inputs import input_path
from domain.execution.outcomes.queueing import queue_node, request_lookup
from domain.execution.state.node import Node
from domain.execution.state.site import Site
from schemas.messages import commands as c
from schemas.phases import CacheStatus, NodePhase, ReservationStatus
from schemas.sites import NodeKind
from schemas.values import NO_VALUES, ErrorKind, Failure, Values

_ENTER: dict[NodeKind, Callable[[Decision, str, Values], None]] = {
    NodeKind.START: boundary.enter_start,
    NodeKind.END: boundary.enter_end,
    NodeKind.TASK: task.enter,
    NodeKind.WORKFLOW: subworkflow.enter,
    NodeKind.LAUNCH_PLAN: launch_plan.enter,
    NodeKind.BRANCH: branch.enter,
    NodeKind.ARRAY: array.enter,
    NodeKind.GATE: gate.enter,
}


def begin(decision: Decision, site: Site, inputs: Values) -> None:
    """Enter a node whose inputs are known; a cached one is looked up first."""
    workflow = recovery.saved_workflow(decision, site)
    if workflow is not None:
        queue(decision, site, inputs)
        dynamic.expand_saved(decision, site.node_id, workflow)
        return
    if caching.policy_at(decision, site) is None:
        queue(decision, site, inputs)
        _ENTER[site.kind](decision, site.node_id, inputs)
        return
    request_lookup(decision, site, inputs, input_path(decision, site))


def queue(decision: Decision, site: Site, inputs: Values) -> None:
    """Queue a node with its inputs."""
    queue_node(decision, site, inputs, input_path(decision, site))


def inputs_resolved(decision: Decision, report: c.ReportInputsResolved) -> None:
    """Enter a node whose inputs a runner has resolved."""
    node = _not_started(decision, report.node_id)
    if node is None or node.is_looked_up:
        return
    if node.site.kind is NodeKind.BRANCH:
        queue(decision, node.site, report.inputs)
        branch.enter_with(decision, report.node_id, report.operands)
    elif node.site.kind is NodeKind.ARRAY:
        queue(decision, node.site, report.inputs)
        array.enter_sized(decision, report.node_id, report.size)
    else:
        begin(decision, node.site, report.inputs)


def resolution_failed(decision: Decision, report: c.ReportResolutionFailed) -> None:
    """Fail a node whose inputs can't be resolved, or not be looked up."""
    node = _not_started(decision, report.node_id)
    if node is not None:
        queue(decision, node.site, node.inputs or NO_VALUES)
        fail_node(decision, report.node_id, report.failure)


def cache_looked_up(decision: Decision, report: c.ReportCacheLookedUp) -> None:
    """End a node with the outputs that were found, or let it run or wait for them."""
    node = decision.state.nodes.get(report.node_id)
    if node is None or not node.is_looked_up:
        return
    is_awaited = report.reservation == ReservationStatus.EXISTS
    if node.awaits_outputs and is_awaited:
        return
    if node.phase is NodePhase.NOT_YET_STARTED:
        queue_node(decision, node.site, node.inputs or NO_VALUES, node.input_path)
    caching.answered(decision, report)
    if report.status == CacheStatus.HIT:
        succeed_node(decision, report.node_id, report.outputs or NO_VALUES)
    elif not is_awaited:
        task.enter(decision, report.node_id, node.inputs or NO_VALUES)


def outputs_gathered(decision: Decision, report: c.ReportOutputsGathered) -> None:
    """End an array, or the node of a child, whose outputs a runner has stored."""
    node = decision.state.nodes.get(report.node_id)
    if node is None or node.attempt != report.attempt:
        return
    unknown = Failure(code="OutputsNotFound", message="", kind=ErrorKind.SYSTEM)
    found = report.outputs or report.failure or unknown
    if node.array is not None:
        array.gathered(decision, node, found)
    else:
        launch_plan.stored(decision, node, found)


def _not_started(decision: Decision, node_id: str) -> Node | None:
    node = decision.state.nodes.get(node_id)
    if node is None or node.phase is not NodePhase.NOT_YET_STARTED:
        return None
    return node

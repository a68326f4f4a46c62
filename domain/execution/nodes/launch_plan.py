"""Launch plan nodes: a child execution, followed by its reports (ref §5.4)."""

from __future__ import annotations

from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2

from domain.annotations import NOTIFY
from domain.execution.decision import Decision
from domain.execution.nodes import time_limits
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.outcomes.recovery import saved_child
from domain.execution.state.node import Node
from domain.execution.state.site import Site
from domain.execution.view import ExecutionView
from schemas.ids import ExecutionRef, child_execution_name
from schemas.levels import INLINE_BUDGETS
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import ExecutionPhase, NodePhase
from schemas.values import NO_VALUES, ErrorKind, Failure, Values

_CHILD_WORKFLOW = execution_pb2.ExecutionMetadata.CHILD_WORKFLOW
_INHERITED = (
    "labels",
    "annotations",
    "security_context",
    "raw_output_data_config",
    "interruptible",
    "envs",
    "execution_cluster_label",
)
"""Fields of an admin.ExecutionSpec that a child takes from its parent."""


def enter(decision: Decision, node_id: str, inputs: Values) -> None:
    """Request the child execution, whose name follows from the node's attempt."""
    node = decision.node(node_id)
    parent = decision.created.execution
    child = ExecutionRef(
        project=parent.project,
        domain=parent.domain,
        name=child_execution_name(parent.name, node_id, node.attempt),
    )
    decision.emit(ne.NodeStarted(occurred_at_us=decision.now_us, node_id=node_id))
    time_limits.begin(decision, node_id)
    decision.emit(
        ne.ChildRequested(
            occurred_at_us=decision.now_us,
            node_id=node_id,
            attempt=node.attempt,
            child=child,
            launch_plan=node.site.entity,
            spec=_child_spec(decision, node.site),
            inputs=inputs,
            recovers=saved_child(decision, node),
        )
    )


def reported(decision: Decision, report: c.ReportChild) -> None:
    """End the node as its child has ended: with its outputs, or its failure."""
    node = decision.state.nodes.get(report.node_id)
    if node is None or node.is_terminal or node.attempt != report.attempt:
        return
    if report.phase == ExecutionPhase.QUEUED:
        if node.child is not None and node.child.is_created:
            return
        project, domain, name = report.child.split("/", 2)
        decision.emit(
            ne.ChildCreated(
                occurred_at_us=decision.now_us,
                node_id=report.node_id,
                attempt=report.attempt,
                child=ExecutionRef(project=project, domain=domain, name=name),
            )
        )
    elif outputs_to_store(decision, report) is not None:
        return
    elif report.phase == ExecutionPhase.SUCCEEDED:
        succeed_node(decision, report.node_id, report.outputs or NO_VALUES)
    else:
        fail_node(decision, report.node_id, _failure(report))


def outputs_to_store(view: ExecutionView, report: c.ReportChild) -> Values | None:
    """Return the outputs of a child that must be in a blob before its node ends.

    Beyond the inline budget that are all, but a child has small ones inline alone.
    """
    node, outputs = view.state.nodes.get(report.node_id), report.outputs
    if node is None or node.is_terminal or node.attempt != report.attempt:
        return None
    if view.has_inline_budget or view.context.format_level < INLINE_BUDGETS:
        return None
    if report.phase != ExecutionPhase.SUCCEEDED or outputs is None:
        return None
    return outputs if outputs.inline and not outputs.uri else None


def stored(decision: Decision, node: Node, found: Values | Failure) -> None:
    """End a node with the outputs of its child, which a runner has stored."""
    if node.child is None or node.phase is not NodePhase.RUNNING:
        return
    if isinstance(found, Values):
        succeed_node(decision, node.site.node_id, found)
    else:
        fail_node(decision, node.site.node_id, found)


def _failure(report: c.ReportChild) -> Failure:
    if report.refused:
        why = report.failure.message if report.failure else "it was refused"
        return Failure(code="RuntimeExecutionError", message=why, kind=ErrorKind.USER)
    if report.phase == ExecutionPhase.ABORTED:
        return Failure(
            code="RemoteChildWorkflowExecutionFailed",
            message=f"Expected child execution [{report.child}] to succeed, "
            "but it was aborted",
            kind=ErrorKind.USER,
        )
    if report.failure is not None:
        return report.failure
    return Failure(
        code="LaunchPlanExecutionFailed",
        message=f"Expected child execution [{report.child}] to succeed, "
        f"but it ended {report.phase}",
        kind=ErrorKind.USER,
    )


def _shown_id(site: Site) -> str:
    """Return the id of the node that clients see: for an element, its array's."""
    return site.node_id if site.element is None else site.parent_id


def _child_spec(view: ExecutionView, site: Site) -> bytes:
    """Return the settings of a child, most of them its parent's (ref §5.4)."""
    above, target = view.spec, site.entity
    execution = view.created.execution
    spec = execution_pb2.ExecutionSpec(
        launch_plan=identifier_pb2.Identifier(
            resource_type=identifier_pb2.LAUNCH_PLAN,
            project=target.project,
            domain=target.domain,
            name=target.name,
            version=target.version,
        ),
        max_parallelism=view.created.max_parallelism,
        overwrite_cache=above.overwrite_cache,
    )
    metadata = spec.metadata
    metadata.mode = _CHILD_WORKFLOW
    metadata.principal = view.created.principal
    metadata.nesting = above.metadata.nesting + 1
    at = metadata.parent_node_execution
    at.node_id = _shown_id(site)
    at.execution_id.project = execution.project
    at.execution_id.domain = execution.domain
    at.execution_id.name = execution.name
    for field in _INHERITED:
        if above.HasField(field):
            getattr(spec, field).CopyFrom(getattr(above, field))
    if NOTIFY in spec.annotations.values:  # It is for the parent alone.
        del spec.annotations.values[NOTIFY]
        if not spec.annotations.values:
            spec.ClearField("annotations")
    return spec.SerializeToString(deterministic=True)

"""Launch plan nodes: a child execution, followed by its reports (ref §5.4)."""

from __future__ import annotations

from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2

from domain.execution.decision import Step, execution_spec
from domain.execution.nodes import time_limits
from domain.execution.outcomes.completion import fail_node, succeed_node
from domain.execution.outcomes.recovery import lost_child
from domain.execution.state.state import Node
from schemas.ids import EntityRef, ExecutionRef, child_execution_name
from schemas.messages import commands as c
from schemas.messages import node_events as ne
from schemas.phases import ExecutionPhase
from schemas.values import NO_VALUES, Failure, Values

_CHILD_WORKFLOW = execution_pb2.ExecutionMetadata.CHILD_WORKFLOW


def enter(step: Step, node_id: str, inputs: Values) -> None:
    """Ask for the child execution; its name follows from the node's attempt."""
    node = step.node(node_id)
    target = node.site.target
    assert target is not None  # noqa: S101 - the compiler refuses others
    parent = step.created.execution
    child = ExecutionRef(
        project=parent.project,
        domain=parent.domain,
        name=child_execution_name(parent.name, node_id, node.attempt),
    )
    step.emit(ne.NodeStarted(occurred_at_us=step.now_us, node_id=node_id))
    time_limits.begin(step, node_id)
    step.emit(
        ne.ChildRequested(
            occurred_at_us=step.now_us,
            node_id=node_id,
            attempt=node.attempt,
            child=child,
            launch_plan=target,
            spec=_child_spec(step, _shown_id(node), target),
            inputs=inputs,
            recovers=lost_child(step, node),
        )
    )


def reported(step: Step, report: c.ReportChild) -> None:
    """Follow the child: its outputs are the node's, its failure too."""
    node = step.state.nodes.get(report.node_id)
    if node is None or node.is_terminal or node.attempt != report.attempt:
        return
    if report.phase == ExecutionPhase.QUEUED:
        if node.child_exists:
            return
        project, domain, name = report.child.split("/", 2)
        step.emit(
            ne.ChildCreated(
                occurred_at_us=step.now_us,
                node_id=report.node_id,
                attempt=report.attempt,
                child=ExecutionRef(project=project, domain=domain, name=name),
            )
        )
    elif report.phase == ExecutionPhase.SUCCEEDED:
        succeed_node(step, report.node_id, report.outputs or NO_VALUES)
    else:
        fail_node(step, report.node_id, _failure(report))


def _failure(report: c.ReportChild) -> Failure:
    if report.refused:
        why = report.failure.message if report.failure else "it was refused"
        return Failure(code="RuntimeExecutionError", message=why, kind="USER")
    if report.phase == ExecutionPhase.ABORTED:
        return Failure(
            code="RemoteChildWorkflowExecutionFailed",
            message=f"Expected child execution [{report.child}] to succeed, "
            "but it was aborted",
            kind="USER",
        )
    if report.failure is not None:
        return report.failure
    return Failure(
        code="LaunchPlanExecutionFailed",
        message=f"Expected child execution [{report.child}] to succeed, "
        f"but it ended {report.phase}",
        kind="USER",
    )


def _shown_id(node: Node) -> str:
    """Return the id of the node that clients see: an element's is its array's."""
    return node.site.parent_id if node.site.element >= 0 else node.site.node_id


def _child_spec(step: Step, node_id: str, target: EntityRef) -> bytes:
    """Return what a child inherits of its parent's settings (ref §5.4)."""
    above = execution_spec(step.created.spec)
    execution = step.created.execution
    spec = execution_pb2.ExecutionSpec(
        launch_plan=identifier_pb2.Identifier(
            resource_type=identifier_pb2.LAUNCH_PLAN,
            project=target.project,
            domain=target.domain,
            name=target.name,
            version=target.version,
        ),
        max_parallelism=step.created.max_parallelism,
        overwrite_cache=above.overwrite_cache,
    )
    metadata = spec.metadata
    metadata.mode = _CHILD_WORKFLOW
    metadata.principal = step.created.principal
    metadata.nesting = above.metadata.nesting + 1
    at = metadata.parent_node_execution
    at.node_id = node_id
    at.execution_id.project = execution.project
    at.execution_id.domain = execution.domain
    at.execution_id.name = execution.name
    for field in (
        "labels",
        "annotations",
        "security_context",
        "raw_output_data_config",
        "interruptible",
        "envs",
        "execution_cluster_label",
    ):
        if above.HasField(field):
            getattr(spec, field).CopyFrom(getattr(above, field))
    data: bytes = spec.SerializeToString(deterministic=True)
    return data

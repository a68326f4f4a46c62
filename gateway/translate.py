"""The views' rows as flyteidl's messages; pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    task_execution_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.core import execution_pb2 as core_execution_pb2
from flyteidl.core import identifier_pb2, interface_pb2

from projections.rows import ExecutionRow, NodeRow, TaskRow
from schemas.ids import EntityRef, ExecutionRef, execution_of
from schemas.values import Failure, Values

ERROR_IN_LIST_MAX = 100
_WORKFLOW = core_execution_pb2.WorkflowExecution.Phase
_NODE = core_execution_pb2.NodeExecution.Phase
_TASK = core_execution_pb2.TaskExecution.Phase


def identifier(ref: EntityRef) -> Any:
    """Return a core.Identifier."""
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Value(ref.kind),
        project=ref.project,
        domain=ref.domain,
        name=ref.name,
        version=ref.version,
    )


def execution_id(ref: ExecutionRef) -> Any:
    """Return a core.WorkflowExecutionIdentifier."""
    return identifier_pb2.WorkflowExecutionIdentifier(
        project=ref.project, domain=ref.domain, name=ref.name
    )


def _stamp(target: Any, moment: datetime | None) -> None:
    if moment is not None:
        target.FromDatetime(moment)


def _span(target: Any, begin: datetime | None, end: datetime | None) -> None:
    if begin is not None and end is not None:
        target.FromTimedelta(max(end - begin, end - end))


def error_of(failure: Failure, message_max: int = 0) -> Any:
    """Return a core.ExecutionError; a list shows the beginning of its message."""
    message = failure.message[:message_max] if message_max else failure.message
    error = core_execution_pb2.ExecutionError(
        code=failure.code,
        message=message,
        error_uri=failure.error_uri,
        kind=core_execution_pb2.ExecutionError.ErrorKind.Value(failure.kind),
        worker=failure.worker,
    )
    if failure.occurred_at_us:
        error.timestamp.FromMicroseconds(failure.occurred_at_us)
    return error


def execution(row: ExecutionRow, *, in_list: bool = False) -> Any:
    """Return an admin.Execution."""
    found = execution_pb2.Execution()
    found.id.project = row.execution_project
    found.id.domain = row.execution_domain
    found.id.name = row.execution_name
    found.spec.ParseFromString(row.spec)
    found.spec.metadata.system_metadata.execution_cluster = row.cluster
    namespace = f"{row.execution_project}-{row.execution_domain}"
    found.spec.metadata.system_metadata.namespace = namespace
    closure = found.closure
    closure.phase = _WORKFLOW.Value(row.phase)
    closure.workflow_id.CopyFrom(identifier(row.workflow))
    _stamp(closure.created_at, row.created_at)
    _stamp(closure.updated_at, row.updated_at)
    _stamp(closure.started_at, row.started_at)
    _span(closure.duration, row.started_at, row.ended_at)
    closure.notifications.extend(found.spec.notifications.notifications)
    closure.state_change_details.state = row.state
    _stamp(closure.state_change_details.occurred_at, row.created_at)
    closure.state_change_details.principal = row.user
    if row.error is not None:
        closure.error.CopyFrom(error_of(row.error, ERROR_IN_LIST_MAX if in_list else 0))
    elif row.abort_cause is not None:
        closure.abort_metadata.cause = row.abort_cause
        closure.abort_metadata.principal = row.abort_principal or ""
    elif row.outputs is not None and row.outputs.uri:
        closure.outputs.uri = row.outputs.uri
    return found


def _result(closure: Any, outputs: Values | None, error: Failure | None, cut: int) -> None:
    if error is not None:
        closure.error.CopyFrom(error_of(error, cut))
    elif outputs is not None and outputs.uri:
        closure.output_uri = outputs.uri


def node_execution(row: NodeRow, *, root: str, in_list: bool = False) -> Any:
    """Return an admin.NodeExecution; `root` is where blobs lie."""
    found = node_execution_pb2.NodeExecution()
    found.id.node_id = row.node_id
    found.id.execution_id.CopyFrom(execution_id(execution_of(row.stream)))
    found.input_uri = f"{root}/{row.input_path}" if row.input_path else ""
    found.metadata.spec_node_id = row.spec_node_id
    found.metadata.retry_group = row.retry_group
    found.metadata.is_parent_node = row.kind in {"workflow", "branch"}
    found.metadata.is_array = row.kind == "array"
    closure = found.closure
    closure.phase = _NODE.Value(row.phase)
    _stamp(closure.created_at, row.created_at)
    _stamp(closure.updated_at, row.updated_at)
    _stamp(closure.started_at, row.started_at)
    _span(closure.duration, row.started_at, row.ended_at)
    closure.deck_uri = row.deck_uri
    _result(closure, row.outputs, row.error, ERROR_IN_LIST_MAX if in_list else 0)
    if row.child:
        project, domain, name = row.child.split("/", 2)
        child = ExecutionRef(project=project, domain=domain, name=name)
        closure.workflow_node_metadata.executionId.CopyFrom(execution_id(child))
    return found


def task_execution(row: TaskRow, *, input_uri: str) -> Any:
    """Return an admin.TaskExecution."""
    found = task_execution_pb2.TaskExecution(input_uri=input_uri)
    found.id.task_id.CopyFrom(identifier(row.task))
    found.id.node_execution_id.node_id = row.node_id
    found.id.node_execution_id.execution_id.CopyFrom(
        execution_id(execution_of(row.stream))
    )
    found.id.retry_attempt = row.retry_attempt
    closure = found.closure
    closure.phase = _TASK.Value(row.phase)
    _stamp(closure.created_at, row.created_at)
    _stamp(closure.updated_at, row.updated_at)
    _stamp(closure.started_at, row.started_at)
    _span(closure.duration, row.started_at, row.ended_at)
    _result(closure, row.outputs, row.error, 0)
    for log in row.logs:
        closure.logs.add(name=log.name, uri=log.uri)
    closure.task_type = row.task_type
    closure.event_version = 1
    closure.metadata.generated_name = row.generated_name
    closure.metadata.instance_class = int(row.interruptible)
    return found


def task(row: dict[str, Any]) -> Any:
    """Return an admin.Task."""
    found = task_pb2.Task(short_description=row["short_description"])
    found.id.CopyFrom(row_identifier(row, identifier_pb2.TASK))
    found.closure.ParseFromString(bytes(row["closure"]))
    return found


def workflow(row: dict[str, Any], closure: bytes | None) -> Any:
    """Return an admin.Workflow; without a closure's bytes only its interface."""
    found = workflow_pb2.Workflow(short_description=row["short_description"])
    found.id.CopyFrom(row_identifier(row, identifier_pb2.WORKFLOW))
    if closure is not None:
        found.closure.ParseFromString(closure)
        return found
    template = found.closure.compiled_workflow.primary.template
    template.id.CopyFrom(found.id)
    interface = interface_pb2.TypedInterface.FromString(bytes(row["interface"]))
    template.interface.CopyFrom(interface)
    _stamp(found.closure.created_at, row["created_at"])
    return found


def launch_plan(row: dict[str, Any]) -> Any:
    """Return an admin.LaunchPlan."""
    found = launch_plan_pb2.LaunchPlan()
    found.id.CopyFrom(row_identifier(row, identifier_pb2.LAUNCH_PLAN))
    found.spec.ParseFromString(bytes(row["spec"]))
    found.closure.ParseFromString(bytes(row["closure"]))
    found.closure.state = row["state"]
    _stamp(found.closure.updated_at, row["updated_at"])
    return found


def row_identifier(row: dict[str, Any], kind: int) -> Any:
    """Return the core.Identifier of a registry row."""
    return identifier_pb2.Identifier(
        resource_type=kind,
        project=row["project"],
        domain=row["domain"],
        name=row["name"],
        version=row["version"],
    )


def named_entity(row: dict[str, Any], kind: int) -> Any:
    """Return an admin.NamedEntity."""
    found = common_pb2.NamedEntity(resource_type=kind)
    found.id.CopyFrom(entity_id(row))
    found.metadata.description = row["description"]
    found.metadata.state = row["state"]
    return found


def entity_id(row: dict[str, Any]) -> Any:
    """Return an admin.NamedEntityIdentifier."""
    return common_pb2.NamedEntityIdentifier(
        project=row["project"], domain=row["domain"], name=row["name"]
    )

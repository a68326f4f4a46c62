"""What is registered: rows of the registry as flyteidl's messages; pure."""

from __future__ import annotations

from flyteidl.admin import (
    common_pb2,
    description_entity_pb2,
    launch_plan_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.core import identifier_pb2, interface_pb2

from gateway.translate.identifiers import set_timestamp
from projections.registry_rows import (
    DescribedVersionRow,
    LaunchPlanVersionRow,
    NameRow,
    TaskVersionRow,
    VersionRow,
    WorkflowVersionRow,
)

_STATE = launch_plan_pb2.LaunchPlanState


def to_task(row: TaskVersionRow) -> task_pb2.Task:
    """Return a task."""
    return task_pb2.Task(
        id=_identifier(row, "TASK"),
        closure=task_pb2.TaskClosure.FromString(row.closure),
        short_description=row.short_description,
    )


def to_workflow(
    row: WorkflowVersionRow, closure: bytes | None
) -> workflow_pb2.Workflow:
    """Return a workflow; without the bytes of its closure, its interface only."""
    workflow = workflow_pb2.Workflow(
        id=_identifier(row, "WORKFLOW"), short_description=row.short_description
    )
    if closure is not None:
        workflow.closure.ParseFromString(closure)
        return workflow
    template = workflow.closure.compiled_workflow.primary.template
    template.id.CopyFrom(workflow.id)
    interface = interface_pb2.TypedInterface.FromString(row.interface)
    template.interface.CopyFrom(interface)
    set_timestamp(workflow.closure.created_at, row.created_at)
    return workflow


def to_launch_plan(row: LaunchPlanVersionRow) -> launch_plan_pb2.LaunchPlan:
    """Return a launch plan."""
    plan = launch_plan_pb2.LaunchPlan(id=_identifier(row, "LAUNCH_PLAN"))
    plan.spec.ParseFromString(row.spec)
    plan.closure.ParseFromString(row.closure)
    plan.closure.state = _STATE.ACTIVE if row.state else _STATE.INACTIVE
    set_timestamp(plan.closure.updated_at, row.updated_at)
    return plan


def to_named_entity(row: NameRow, kind: str) -> common_pb2.NamedEntity:
    """Return a named entity."""
    return common_pb2.NamedEntity(
        resource_type=kind,
        id=to_entity_id(row),
        metadata=common_pb2.NamedEntityMetadata(
            description=row.description,
            state=common_pb2.NamedEntityState.Name(row.state),
        ),
    )


def to_description(
    row: DescribedVersionRow, kind: str
) -> description_entity_pb2.DescriptionEntity:
    """Return the description of a task or workflow."""
    data = row.description
    description = description_entity_pb2.DescriptionEntity.FromString(data)
    description.id.CopyFrom(_identifier(row, kind))
    return description


def to_entity_id(row: NameRow) -> common_pb2.NamedEntityIdentifier:
    """Return the identifier of a name, whatever its version."""
    return common_pb2.NamedEntityIdentifier(
        project=row.project, domain=row.domain, name=row.name
    )


def _identifier(row: VersionRow, kind: str) -> identifier_pb2.Identifier:
    return identifier_pb2.Identifier(
        resource_type=kind,
        project=row.project,
        domain=row.domain,
        name=row.name,
        version=row.version,
    )

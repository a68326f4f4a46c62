"""What is registered: the registry's rows as flyteidl's messages; pure."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import (
    common_pb2,
    description_entity_pb2,
    launch_plan_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.core import identifier_pb2, interface_pb2

from gateway.translate.identifiers import stamp

Row = dict[str, Any]


def task(row: Row) -> Any:
    """Return an admin.Task."""
    found = task_pb2.Task(short_description=row["short_description"])
    found.id.CopyFrom(_identifier(row, identifier_pb2.TASK))
    found.closure.ParseFromString(bytes(row["closure"]))
    return found


def workflow(row: Row, closure: bytes | None) -> Any:
    """Return an admin.Workflow; without a closure's bytes only its interface."""
    found = workflow_pb2.Workflow(short_description=row["short_description"])
    found.id.CopyFrom(_identifier(row, identifier_pb2.WORKFLOW))
    if closure is not None:
        found.closure.ParseFromString(closure)
        return found
    template = found.closure.compiled_workflow.primary.template
    template.id.CopyFrom(found.id)
    interface = interface_pb2.TypedInterface.FromString(bytes(row["interface"]))
    template.interface.CopyFrom(interface)
    stamp(found.closure.created_at, row["created_at"])
    return found


def launch_plan(row: Row) -> Any:
    """Return an admin.LaunchPlan."""
    found = launch_plan_pb2.LaunchPlan()
    found.id.CopyFrom(_identifier(row, identifier_pb2.LAUNCH_PLAN))
    found.spec.ParseFromString(bytes(row["spec"]))
    found.closure.ParseFromString(bytes(row["closure"]))
    found.closure.state = row["state"]
    stamp(found.closure.updated_at, row["updated_at"])
    return found


def named_entity(row: Row, kind: int) -> Any:
    """Return an admin.NamedEntity."""
    found = common_pb2.NamedEntity(resource_type=kind)
    found.id.CopyFrom(entity_id(row))
    found.metadata.description = row["description"]
    found.metadata.state = row["state"]
    return found


def description(row: Row, kind: int) -> Any:
    """Return an admin.DescriptionEntity."""
    found = description_entity_pb2.DescriptionEntity.FromString(
        bytes(row["description"])
    )
    found.id.CopyFrom(_identifier(row, kind))
    return found


def entity_id(row: Row) -> Any:
    """Return an admin.NamedEntityIdentifier."""
    return common_pb2.NamedEntityIdentifier(
        project=row["project"], domain=row["domain"], name=row["name"]
    )


def _identifier(row: Row, kind: int) -> Any:
    return identifier_pb2.Identifier(
        resource_type=kind,
        project=row["project"],
        domain=row["domain"],
        name=row["name"],
        version=row["version"],
    )

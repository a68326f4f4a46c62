"""What nodes of a workflow refer to, read from the registry for the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2

from domain.compiler.interfaces import LaunchPlanInterface
from domain.graph import entity_ref
from infra.postgres.pool import Pool
from projections.queries import registry
from schemas.ids import EntityRef


async def task_templates(
    pool: Pool, identifiers: Sequence[Any]
) -> dict[EntityRef, Any]:
    """Return the core.TaskTemplates of those that are registered."""
    found: dict[EntityRef, Any] = {}
    for identifier in identifiers:
        row = await registry.get_entity(pool, entity_ref(identifier, "TASK"))
        if row is not None:
            closure = task_pb2.TaskClosure.FromString(bytes(row["closure"]))
            found[entity_ref(identifier)] = closure.compiled_task.template
    return found


async def launch_plan_interfaces(
    pool: Pool, identifiers: Sequence[Any]
) -> dict[EntityRef, LaunchPlanInterface]:
    """Return the interfaces of those launch plans that are registered."""
    found: dict[EntityRef, LaunchPlanInterface] = {}
    for identifier in identifiers:
        row = await registry.get_entity(pool, entity_ref(identifier, "LAUNCH_PLAN"))
        if row is not None:
            data = bytes(row["closure"])
            closure = launch_plan_pb2.LaunchPlanClosure.FromString(data)
            found[entity_ref(identifier)] = LaunchPlanInterface(
                closure.expected_inputs, closure.expected_outputs
            )
    return found

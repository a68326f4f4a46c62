"""The tasks and launch plans that a workflow's nodes refer to, for the compiler."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import launch_plan_pb2, task_pb2
from flyteidl.core import identifier_pb2, tasks_pb2

from domain.compiler.interfaces import LaunchPlanInterface
from domain.graph import entity_ref
from infra.postgres.pool import Pool
from projections.queries import registry
from schemas.ids import EntityRef


async def task_templates(
    pool: Pool, identifiers: Sequence[identifier_pb2.Identifier]
) -> dict[EntityRef, tasks_pb2.TaskTemplate]:
    """Return the templates of those tasks that are registered."""
    found: dict[EntityRef, tasks_pb2.TaskTemplate] = {}
    for identifier in identifiers:
        ref = entity_ref(identifier, "TASK")
        row = await registry.get_version(pool, registry.TASKS, ref)
        if row is not None:
            closure = task_pb2.TaskClosure.FromString(row.closure)
            found[entity_ref(identifier)] = closure.compiled_task.template
    return found


async def launch_plan_interfaces(
    pool: Pool, identifiers: Sequence[identifier_pb2.Identifier]
) -> dict[EntityRef, LaunchPlanInterface]:
    """Return the interfaces of those launch plans that are registered."""
    found: dict[EntityRef, LaunchPlanInterface] = {}
    for identifier in identifiers:
        ref = entity_ref(identifier, "LAUNCH_PLAN")
        row = await registry.get_version(pool, registry.LAUNCH_PLANS, ref)
        if row is not None:
            closure = launch_plan_pb2.LaunchPlanClosure.FromString(row.closure)
            found[entity_ref(identifier)] = LaunchPlanInterface(
                closure.expected_inputs, closure.expected_outputs
            )
    return found

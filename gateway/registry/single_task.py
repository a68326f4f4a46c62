"""Executions of a single task: the workflow and launch plan around it (ref §2.4)."""

from __future__ import annotations

from collections.abc import Awaitable

from flyteidl.admin import (
    common_pb2,
    launch_plan_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.core import identifier_pb2

from domain.compiler.single_task import NAME_PREFIX, single_task_workflow
from gateway.registry.entities import create_workflow
from gateway.registry.launch_plans import create_launch_plan
from gateway.registry.named_entities import describe
from gateway.services.container import Services
from gateway.services.errors import CODES, RpcError, missing
from projections.queries import registry
from schemas.ids import EntityRef
from schemas.messages.rejections import Reason


async def register_single_task(services: Services, ref: EntityRef) -> None:
    """Register the workflow and launch plan around one task, once (ref §2.4)."""
    row = await registry.get_version(services.pool, registry.TASKS, ref)
    if row is None:
        raise missing("TASK", ref.text())
    name = NAME_PREFIX + ref.name
    plan = EntityRef(
        kind="LAUNCH_PLAN",
        project=ref.project,
        domain=ref.domain,
        name=name,
        version=ref.version,
    )
    if await registry.get_version(services.pool, registry.LAUNCH_PLANS, plan):
        return
    closure = task_pb2.TaskClosure.FromString(row.closure)
    template = single_task_workflow(closure.compiled_task.template)
    workflow_request = workflow_pb2.WorkflowCreateRequest(id=template.id)
    workflow_request.spec.template.CopyFrom(template)
    plan_request = launch_plan_pb2.LaunchPlanCreateRequest(id=template.id)
    plan_request.id.resource_type = identifier_pb2.LAUNCH_PLAN
    plan_request.spec.workflow_id.CopyFrom(template.id)
    await _unless_it_exists(create_workflow(services, workflow_request))
    await _unless_it_exists(create_launch_plan(services, plan_request))
    place = (ref.project, ref.domain, name)
    state = common_pb2.SYSTEM_GENERATED
    await describe(services, "WORKFLOW", place, description="", state=state)


async def _unless_it_exists(registration: Awaitable[None]) -> None:
    """Await a registration; another request may have been first."""
    try:
        await registration
    except RpcError as error:
        if error.code is not CODES[Reason.ALREADY_EXISTS]:
            raise

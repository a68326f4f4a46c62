"""Registration: projects, tasks, workflows, launch plans through their deciders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import interface_pb2

from domain.compiler.compile import compile_workflow
from domain.compiler.errors import CompileErrors
from domain.compiler.interfaces import LaunchPlanInterface
from domain.compiler.requirements import requirements
from domain.compiler.single_task import single_task_workflow
from domain.graph import entity_ref
from domain.registry import launch_plans, projects, tasks, workflows
from domain.registry.identity import checked_ref, digest
from gateway.errors import Refused, accepted, invalid, missing
from gateway.services import Services
from infra.errors import Conflict
from projections import registry
from schemas.ids import EntityRef
from schemas.rejections import Reason, Rejected
from schemas.values import Blob

TRIES = 5
Decide = Callable[[Sequence[Any]], Sequence[Any] | Rejected]


async def decide(services: Services, stream: str, decide_: Decide) -> None:
    """Load, decide, append; again if others were first. Raises Refused."""
    for _ in range(TRIES):
        known = await services.store.load(stream)
        events = accepted(decide_(known))
        if not events:
            return
        try:
            await services.store.append(
                stream, len(known), events, actor="", also=registry.writer(events)
            )
        except Conflict:
            continue
        return
    raise invalid(f"Expected to change {stream}, but others change it all the time")


def stream_of(kind: str, *parts: str) -> str:
    """Return a registry stream."""
    return "/".join(("registry", kind, *parts))


async def check_place(services: Services, project: str, domain: str) -> None:
    """Refuse unknown projects and domains (ref §2.1)."""
    if domain not in services.settings.domains:
        raise invalid(f"Expected a known domain, but got '{domain}'")
    found = await registry.get_project(services.pool, project)
    if found is None:
        raise invalid(f"Expected project '{project}' to exist, but it doesn't")
    if found.state != 0:
        raise invalid(f"Expected project '{project}' to be active, but it isn't")


async def create_project(services: Services, project: Any) -> None:
    """Register a project."""
    now = services.clock.now_us()
    await decide(
        services,
        stream_of("project", project.id),
        lambda known: projects.register(known, project, now_us=now),
    )


async def update_project(services: Services, project: Any) -> None:
    """Replace a project."""
    now = services.clock.now_us()
    await decide(
        services,
        stream_of("project", project.id),
        lambda known: projects.replace(known, project, now_us=now),
    )


async def seed(services: Services, identifier: str) -> None:
    """Register the project that is there from the start."""
    if await registry.get_project(services.pool, identifier) is None:
        await create_project(services, projects.new_project(identifier, identifier))


async def create_task(services: Services, request: Any) -> None:
    """Register a task version."""
    ref = accepted(checked_ref(request.id, "TASK"))
    await check_place(services, ref.project, ref.domain)
    now = services.clock.now_us()
    await decide(
        services,
        stream_of("task", ref.project, ref.domain, ref.name, ref.version),
        lambda known: tasks.register(known, request, now_us=now),
    )


async def create_workflow(services: Services, request: Any) -> None:
    """Compile and register a workflow version."""
    ref = accepted(checked_ref(request.id, "WORKFLOW"))
    await check_place(services, ref.project, ref.domain)
    template = request.spec.template
    template.id.CopyFrom(request.id)
    nodes_max = services.settings.admission.workflow_nodes_max
    if nodes_max and len(template.nodes) > nodes_max:
        raise invalid(
            f"Expected at most {nodes_max} nodes, but there are {len(template.nodes)}"
        )
    subs = list(request.spec.sub_workflows)
    needs = requirements(template, subs)
    known_tasks = await _tasks(services, needs.tasks)
    plans = await _launch_plans(services, needs.launch_plans)
    compiled = await asyncio.to_thread(
        compile_workflow, template, subs, known_tasks, plans
    )
    if isinstance(compiled, CompileErrors):
        raise invalid(compiled.text())
    description = request.spec.description.short_description
    await _store_workflow(services, ref, compiled, description)


async def _store_workflow(
    services: Services, ref: EntityRef, compiled: Any, description: str
) -> None:
    now = services.clock.now_us()
    found = await asyncio.to_thread(digest, compiled)
    closure = workflow_pb2.WorkflowClosure(compiled_workflow=compiled)
    closure.created_at.FromMicroseconds(now)
    path = f"metadata/admin/{ref.text()}/{found[:16]}"
    data = closure.SerializeToString(deterministic=True)
    blob: Blob = await services.blobs.put(services.blobs.uri(path), data)
    await decide(
        services,
        stream_of("workflow", ref.project, ref.domain, ref.name, ref.version),
        lambda known: workflows.register(
            known,
            ref,
            compiled,
            blob,
            digest=found,
            nodes_max=services.settings.admission.workflow_nodes_max,
            description=description,
            now_us=now,
        ),
    )


async def _tasks(
    services: Services, identifiers: Sequence[Any]
) -> dict[EntityRef, Any]:
    found: dict[EntityRef, Any] = {}
    for ref in map(entity_ref, identifiers):
        row = await registry.get_entity(services.pool, ref)
        if row is not None:
            closure = task_pb2.TaskClosure.FromString(bytes(row["closure"]))
            found[ref] = closure.compiled_task.template
    return found


async def _launch_plans(
    services: Services, identifiers: Sequence[Any]
) -> dict[EntityRef, LaunchPlanInterface]:
    found: dict[EntityRef, LaunchPlanInterface] = {}
    for ref in map(entity_ref, identifiers):
        row = await registry.get_entity(services.pool, ref)
        if row is not None:
            closure = launch_plan_pb2.LaunchPlanClosure.FromString(
                bytes(row["closure"])
            )
            found[ref] = LaunchPlanInterface(
                closure.expected_inputs, closure.expected_outputs
            )
    return found


async def create_launch_plan(services: Services, request: Any) -> None:
    """Register a launch plan version of a workflow that exists."""
    ref = accepted(checked_ref(request.id, "LAUNCH_PLAN"))
    await check_place(services, ref.project, ref.domain)
    workflow = entity_ref(request.spec.workflow_id)
    workflow = EntityRef(
        kind="WORKFLOW",
        project=workflow.project,
        domain=workflow.domain,
        name=workflow.name,
        version=workflow.version,
    )
    row = await registry.get_entity(services.pool, workflow)
    if row is None:
        raise missing("WORKFLOW", workflow.text())
    interface = interface_pb2.TypedInterface.FromString(bytes(row["interface"]))
    now = services.clock.now_us()
    await decide(
        services,
        _plan_stream(ref),
        lambda known: launch_plans.register(known, request, interface, now_us=now),
    )


async def update_launch_plan(services: Services, request: Any) -> None:
    """Activate or deactivate a launch plan version."""
    ref = accepted(checked_ref(request.id, "LAUNCH_PLAN"))
    now = services.clock.now_us()
    change = launch_plans.activate if request.state == 1 else launch_plans.deactivate
    await decide(
        services, _plan_stream(ref), lambda known: change(known, ref, now_us=now)
    )


def _plan_stream(ref: EntityRef) -> str:
    return stream_of("launch_plan", ref.project, ref.domain, ref.name)


async def register_single_task(services: Services, ref: EntityRef) -> None:
    """Register the workflow and launch plan around one task, once (ref §2.4)."""
    row = await registry.get_entity(services.pool, ref)
    if row is None:
        raise missing("TASK", ref.text())
    plan = EntityRef(
        kind="LAUNCH_PLAN",
        project=ref.project,
        domain=ref.domain,
        name=f".flytegen.{ref.name}",
        version=ref.version,
    )
    if await registry.get_entity(services.pool, plan) is not None:
        return
    closure = task_pb2.TaskClosure.FromString(bytes(row["closure"]))
    template = single_task_workflow(closure.compiled_task.template)
    workflow_request = workflow_pb2.WorkflowCreateRequest(id=template.id)
    workflow_request.spec.template.CopyFrom(template)
    plan_request = launch_plan_pb2.LaunchPlanCreateRequest(id=template.id)
    plan_request.id.resource_type = 3
    plan_request.spec.workflow_id.CopyFrom(template.id)
    for create, request in (
        (create_workflow, workflow_request),
        (create_launch_plan, plan_request),
    ):
        try:
            await create(services, request)
        except Refused as refused:
            if refused.code.name != Reason.ALREADY_EXISTS.value:
                raise

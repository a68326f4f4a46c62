"""Registration of tasks and workflows, through their deciders (ref §2.1)."""

from __future__ import annotations

import asyncio
import hashlib

from flyteidl.admin import description_entity_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2

from domain.compiler.requirements import requirements
from domain.graph import to_identifier
from domain.registry import tasks, workflows
from domain.registry.identity import already_exists, checked_ref, differs
from gateway.registry.append import check_place, decide, escaped, stream_of
from gateway.services.compile_pool import Compiled, Sources
from gateway.services.container import Services
from gateway.services.errors import CODES, RpcError, accepted, invalid
from projections.queries import compiler_inputs, registry
from schemas.ids import EntityRef

_FOLDER_BYTES_MAX = 255
_DIFF_NODES_MAX = 500
"""For larger workflows that differ the error doesn't say where: it costs too much."""


async def create_task(services: Services, request: task_pb2.TaskCreateRequest) -> None:
    """Register a task version."""
    ref = accepted(checked_ref(request.id, "TASK"))
    await check_place(services, ref.project, ref.domain)
    now = services.clock.now_us()
    await decide(
        services.store,
        stream_of("task", ref.project, ref.domain, ref.name, ref.version),
        lambda known: tasks.register(known, request, now_us=now),
    )


async def create_workflow(
    services: Services, request: workflow_pb2.WorkflowCreateRequest
) -> None:
    """Compile and register a workflow version."""
    ref = accepted(checked_ref(request.id, "WORKFLOW"))
    await check_place(services, ref.project, ref.domain)
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.id.resource_type = identifier_pb2.WORKFLOW
    nodes_max = services.settings.admission.workflow_nodes_max
    if nodes_max and len(template.nodes) > nodes_max:
        raise invalid(
            f"Expected at most {nodes_max} nodes, but there are {len(template.nodes)}"
        )
    subs = list(request.spec.sub_workflows)
    needs = requirements(template, subs)
    sources = Sources(
        template=template,
        sub_workflows=subs,
        tasks=await compiler_inputs.task_templates(services.pool, needs.tasks),
        launch_plans=await compiler_inputs.launch_plan_interfaces(
            services.pool, needs.launch_plans
        ),
    )
    compiled = await services.compile_pool.compile(sources)
    await _refuse_existing(services, ref, compiled)
    await _store_workflow(services, ref, compiled, request.spec.description)


async def _refuse_existing(
    services: Services, ref: EntityRef, compiled: Compiled
) -> None:
    """Refuse a version that exists already; the error says what differs."""
    row = await registry.get_version(services.pool, registry.WORKFLOWS, ref)
    if row is None:
        return
    reason = workflow_pb2.CreateWorkflowFailureReason()
    if row.digest == compiled.digest:
        reason.exists_identical_structure.id.CopyFrom(to_identifier(ref))
        rejected = already_exists(ref)
        raise RpcError(CODES[rejected.reason], rejected.detail, reason)
    reason.exists_different_structure.id.CopyFrom(to_identifier(ref))
    given = compiled.closure.primary.template
    known = given
    if len(given.nodes) <= _DIFF_NODES_MAX >= row.node_count:
        data = await services.blobs.get(row.closure.uri)
        closure = workflow_pb2.WorkflowClosure.FromString(data)
        known = closure.compiled_workflow.primary.template
    rejected = await asyncio.to_thread(differs, ref, known, given)
    raise RpcError(CODES[rejected.reason], rejected.detail, reason)


async def _store_workflow(
    services: Services,
    ref: EntityRef,
    compiled: Compiled,
    description: description_entity_pb2.DescriptionEntity,
) -> None:
    now = services.clock.now_us()
    closure = workflow_pb2.WorkflowClosure(compiled_workflow=compiled.closure)
    closure.created_at.FromMicroseconds(now)
    # The digest separates two requests that race for one version: the loser must not
    # overwrite the blob that the winner's event refers to.
    parts = (ref.project, ref.domain, ref.name, ref.version)
    folder = "/".join(map(_folder, parts))
    path = f"metadata/admin/{folder}/{compiled.digest[:16]}"
    data = await asyncio.to_thread(closure.SerializeToString, deterministic=True)
    blob = await services.blobs.put(services.blobs.uri(path), data)
    await decide(
        services.store,
        stream_of("workflow", ref.project, ref.domain, ref.name, ref.version),
        lambda known: workflows.register(
            known,
            ref,
            compiled.closure,
            blob,
            digest=compiled.digest,
            nodes_max=services.settings.admission.workflow_nodes_max or None,
            description=description,
            now_us=now,
        ),
    )


def _folder(part: str) -> str:
    """Return the name of a folder, whatever a workflow's name or version contains."""
    plain = escaped(part)
    if plain.strip(".") and len(plain.encode()) <= _FOLDER_BYTES_MAX:
        return plain
    return hashlib.sha256(part.encode()).hexdigest()

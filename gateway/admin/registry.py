"""AdminService: tasks, workflows, launch plans and their lists."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import (
    common_pb2,
    launch_plan_pb2,
    task_pb2,
    workflow_pb2,
)

from domain.registry.identity import checked_ref
from domain.registry.named_entities import describe
from gateway import registration, translate
from gateway.errors import accepted, invalid, missing
from gateway.paging import next_token, page_of
from gateway.services import Services
from projections import registry
from projections.queries import Page
from schemas.registry_events import NamedEntityDescribed

_KINDS = {1: "TASK", 2: "WORKFLOW", 3: "LAUNCH_PLAN"}


class RegistryRpcs:
    """RPCs on what is registered."""

    services: Services

    async def CreateTask(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Register a task version."""
        await registration.create_task(self.services, request)
        return task_pb2.TaskCreateResponse()

    async def CreateWorkflow(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Compile and register a workflow version."""
        await registration.create_workflow(self.services, request)
        return workflow_pb2.WorkflowCreateResponse()

    async def CreateLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Register a launch plan version."""
        await registration.create_launch_plan(self.services, request)
        return launch_plan_pb2.LaunchPlanCreateResponse()

    async def UpdateLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Activate or deactivate a launch plan version."""
        await registration.update_launch_plan(self.services, request)
        return launch_plan_pb2.LaunchPlanUpdateResponse()

    async def GetTask(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a task version."""
        return translate.task(await self._row(request.id, "TASK"))

    async def GetWorkflow(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a workflow version with its compiled closure."""
        row = await self._row(request.id, "WORKFLOW")
        closure = await self.services.blobs.get(registry.closure_blob(row).uri)
        return translate.workflow(row, closure)

    async def GetLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a launch plan version."""
        return translate.launch_plan(await self._row(request.id, "LAUNCH_PLAN"))

    async def GetActiveLaunchPlan(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the active version of a launch plan."""
        at = request.id
        if not (at.project and at.domain and at.name):
            raise invalid("Expected project, domain and name, but one is empty")
        row = await registry.get_active_launch_plan(
            self.services.pool, at.project, at.domain, at.name
        )
        if row is None:
            text = f"{at.project}/{at.domain}/{at.name}"
            raise missing("LAUNCH_PLAN", f"{text}: no active version")
        return translate.launch_plan(row)

    async def ListTasks(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return task versions."""
        page, rows = await self._list("TASK", request)
        found = [translate.task(row) for row in rows]
        return task_pb2.TaskList(tasks=found, token=next_token(page, rows))

    async def ListWorkflows(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return workflow versions, with their interfaces only."""
        page, rows = await self._list("WORKFLOW", request)
        found = [translate.workflow(row, None) for row in rows]
        return workflow_pb2.WorkflowList(workflows=found, token=next_token(page, rows))

    async def ListLaunchPlans(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return launch plan versions."""
        page, rows = await self._list("LAUNCH_PLAN", request)
        found = [translate.launch_plan(row) for row in rows]
        token = next_token(page, rows)
        return launch_plan_pb2.LaunchPlanList(launch_plans=found, token=token)

    async def ListActiveLaunchPlans(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the active versions of a project and domain."""
        page = page_of(_WithFilters(request))
        where = {"project": request.project, "domain": request.domain, "state": 1}
        rows = accepted(
            await registry.list_entities(self.services.pool, "LAUNCH_PLAN", where, page)
        )
        found = [translate.launch_plan(row) for row in rows]
        token = next_token(page, rows)
        return launch_plan_pb2.LaunchPlanList(launch_plans=found, token=token)

    async def ListTaskIds(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of tasks."""
        return await self._ids("TASK", request)

    async def ListWorkflowIds(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of workflows."""
        return await self._ids("WORKFLOW", request)

    async def ListLaunchPlanIds(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of launch plans."""
        return await self._ids("LAUNCH_PLAN", request)

    async def ListNamedEntities(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of a kind with their descriptions and states."""
        kind, page = _kind(request.resource_type), page_of(request)
        rows = accepted(
            await registry.list_names(
                self.services.pool,
                _KINDS[request.resource_type],
                request.project,
                request.domain,
                page,
            )
        )
        return common_pb2.NamedEntityList(
            entities=[translate.named_entity(r, request.resource_type) for r in rows],
            token=next_token(page, rows),
        )

    async def GetNamedEntity(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a name with its description and state."""
        kind, at = _kind(request.resource_type), request.id
        row = await registry.get_name(
            self.services.pool, kind, at.project, at.domain, at.name
        )
        if row is None:
            raise missing(kind, f"{at.project}/{at.domain}/{at.name}")
        return translate.named_entity(row, request.resource_type)

    async def UpdateNamedEntity(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Give a name its description and state."""
        kind, at = _kind(request.resource_type), request.id
        row = await registry.get_name(
            self.services.pool, kind, at.project, at.domain, at.name
        )
        if row is None:
            raise missing(kind, f"{at.project}/{at.domain}/{at.name}")
        wished = NamedEntityDescribed(
            occurred_at_us=self.services.clock.now_us(),
            kind=kind,
            project=at.project,
            domain=at.domain,
            name=at.name,
            description=request.metadata.description,
            state=request.metadata.state,
        )
        stream = registration.stream_of("name", kind, at.project, at.domain, at.name)
        await registration.decide(
            self.services, stream, lambda known: describe(known, wished)
        )
        return common_pb2.NamedEntityUpdateResponse()

    async def _row(self, identifier: Any, kind: str) -> dict[str, Any]:
        ref = accepted(checked_ref(identifier, kind))
        row = await registry.get_entity(self.services.pool, ref)
        if row is None:
            raise missing(kind, ref.text())
        return row

    async def _list(self, kind: str, request: Any) -> tuple[Page, Any]:
        page = page_of(request)
        if not request.id.project or not request.id.domain:
            raise invalid("Expected a project and a domain, but one is empty")
        where = {"project": request.id.project, "domain": request.id.domain}
        if request.id.name:
            where["name"] = request.id.name
        rows = await registry.list_entities(self.services.pool, kind, where, page)
        return page, accepted(rows)

    async def _ids(self, kind: str, request: Any) -> Any:
        page = page_of(request)
        rows = accepted(
            await registry.list_ids(
                self.services.pool, kind, request.project, request.domain, page
            )
        )
        return common_pb2.NamedEntityIdentifierList(
            entities=[translate.entity_id(row) for row in rows],
            token=next_token(page, rows),
        )


def _kind(number: int) -> str:
    if number not in _KINDS:
        raise invalid("Expected the resource type of a registered entity, but got none")
    return _KINDS[number]


class _WithFilters:
    """A list request that has no filters of its own."""

    def __init__(self, request: Any) -> None:
        self.limit, self.token = request.limit, request.token
        self.sort_by, self.filters = request.sort_by, ""

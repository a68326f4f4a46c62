"""AdminService: workflows."""

from __future__ import annotations

from typing import Any

from flyteidl.admin import workflow_pb2

from gateway.registry import entities
from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token
from gateway.services.container import Services
from gateway.translate import registry as to_flyte
from projections.queries.registry import closure_blob


class WorkflowRpcs:
    """RPCs on workflows."""

    services: Services

    async def CreateWorkflow(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Compile and register a workflow version."""
        await entities.create_workflow(self.services, request)
        return workflow_pb2.WorkflowCreateResponse()

    async def GetWorkflow(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a workflow version with its compiled closure."""
        row = await versions.find(self.services, request.id, "WORKFLOW")
        closure = await self.services.blobs.get(closure_blob(row).uri)
        return to_flyte.workflow(row, closure)

    async def ListWorkflows(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return workflow versions, with their interfaces only."""
        page, rows = await versions.listed(self.services, "WORKFLOW", request)
        found = [to_flyte.workflow(row, None) for row in rows]
        return workflow_pb2.WorkflowList(workflows=found, token=next_token(page, rows))

    async def ListWorkflowIds(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the names of workflows."""
        return await versions.names(self.services, "WORKFLOW", request)

"""AdminService: workflows."""

from __future__ import annotations

from flyteidl.admin import common_pb2, workflow_pb2

from gateway.registry import entities
from gateway.rpc.admin import versions
from gateway.rpc.paging import next_token
from gateway.services.container import Services
from gateway.services.handlers import CallContext
from gateway.translate.registry import to_workflow
from projections.queries import registry


class WorkflowRpcs:
    """RPCs on workflows."""

    services: Services

    async def CreateWorkflow(
        self, request: workflow_pb2.WorkflowCreateRequest, _context: CallContext
    ) -> workflow_pb2.WorkflowCreateResponse:
        """Compile and register a workflow version."""
        await entities.create_workflow(self.services, request)
        return workflow_pb2.WorkflowCreateResponse()

    async def GetWorkflow(
        self, request: common_pb2.ObjectGetRequest, _context: CallContext
    ) -> workflow_pb2.Workflow:
        """Return a workflow version with its compiled closure."""
        row = await versions.find(self.services, request.id, registry.WORKFLOWS)
        closure = await self.services.blobs.get(row.closure.uri)
        return to_workflow(row, closure)

    async def ListWorkflows(
        self, request: common_pb2.ResourceListRequest, _context: CallContext
    ) -> workflow_pb2.WorkflowList:
        """Return workflow versions, with their interfaces only."""
        page, rows = await versions.listed(self.services, registry.WORKFLOWS, request)
        workflows = [to_workflow(row, None) for row in rows]
        return workflow_pb2.WorkflowList(
            workflows=workflows, token=next_token(page, rows)
        )

    async def ListWorkflowIds(
        self,
        request: common_pb2.NamedEntityIdentifierListRequest,
        _context: CallContext,
    ) -> common_pb2.NamedEntityIdentifierList:
        """Return the names of workflows."""
        return await versions.names(self.services, registry.WORKFLOWS, request)

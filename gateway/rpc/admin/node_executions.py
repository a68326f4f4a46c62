"""AdminService: node executions."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import node_execution_pb2, workflow_pb2
from flyteidl.core import compiler_pb2

from domain.graph import to_identifier
from gateway.executions.data import fill_reply
from gateway.executions.lookup import execution_ref, find_attempt, find_node, node_ref
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, missing
from gateway.services.handlers import CallContext
from gateway.translate import flyte_urls
from gateway.translate.executions import to_node_execution
from projections.queries import executions
from projections.queries.page import Page
from projections.rows import DynamicWorkflow, NodeRow


class NodeExecutionRpcs:
    """RPCs on node executions."""

    services: Services

    async def GetNodeExecution(
        self, request: node_execution_pb2.NodeExecutionGetRequest, _context: CallContext
    ) -> node_execution_pb2.NodeExecution:
        """Return a node execution."""
        row = await find_node(self.services, *node_ref(request.id))
        return to_node_execution(row, root=self.services.blobs.root)

    async def ListNodeExecutions(
        self,
        request: node_execution_pb2.NodeExecutionListRequest,
        _context: CallContext,
    ) -> node_execution_pb2.NodeExecutionList:
        """Return the node executions at the top level, or within a parent."""
        page = page_of(request)
        ref = execution_ref(request.workflow_execution_id)
        rows = accepted(
            await executions.list_nodes(
                self.services.pool, ref, request.unique_parent_id, page
            )
        )
        return self._list(page, rows)

    async def ListNodeExecutionsForTask(
        self,
        request: node_execution_pb2.NodeExecutionForTaskListRequest,
        _context: CallContext,
    ) -> node_execution_pb2.NodeExecutionList:
        """Return the node executions of what an attempt of a dynamic node returned."""
        page = page_of(request)
        ref, node_id = node_ref(request.task_execution_id.node_execution_id)
        attempt = request.task_execution_id.retry_attempt
        _, parent = await find_attempt(self.services, ref, node_id, attempt)
        rows: list[NodeRow] = []
        if parent.is_dynamic:
            rows = accepted(
                await executions.list_dynamic_nodes(
                    self.services.pool, ref, node_id, attempt, page
                )
            )
        return self._list(page, rows)

    def _list(
        self, page: Page, rows: Sequence[NodeRow]
    ) -> node_execution_pb2.NodeExecutionList:
        root = self.services.blobs.root
        return node_execution_pb2.NodeExecutionList(
            node_executions=[
                to_node_execution(row, root=root, in_list=True) for row in rows
            ],
            token=next_token(page, rows),
        )

    async def GetDynamicNodeWorkflow(
        self,
        request: node_execution_pb2.GetDynamicNodeWorkflowRequest,
        _context: CallContext,
    ) -> node_execution_pb2.DynamicNodeWorkflowResponse:
        """Return the compiled workflow that a dynamic node's task returned."""
        ref, node_id = node_ref(request.id)
        row = await find_node(self.services, ref, node_id)
        if row.dynamic_workflow is None:
            raise missing("dynamic workflow", f"{ref.text()}/{node_id}")
        compiled = await self._compiled(row.dynamic_workflow)
        return node_execution_pb2.DynamicNodeWorkflowResponse(
            compiled_workflow=compiled
        )

    async def GetNodeExecutionData(
        self,
        request: node_execution_pb2.NodeExecutionGetDataRequest,
        _context: CallContext,
    ) -> node_execution_pb2.NodeExecutionGetDataResponse:
        """Return a node's inputs and outputs."""
        ref, node_id = node_ref(request.id)
        row = await find_node(self.services, ref, node_id)
        reply = node_execution_pb2.NodeExecutionGetDataResponse(
            flyte_urls=flyte_urls.of_node(ref, node_id, has_deck=bool(row.deck_uri))
        )
        await fill_reply(self.services, reply, inputs=row.inputs, outputs=row.outputs)
        dynamic = row.dynamic_workflow
        if dynamic is not None:
            metadata = node_execution_pb2.DynamicWorkflowNodeMetadata(
                id=to_identifier(dynamic.workflow),
                dynamic_job_spec_uri=dynamic.spec_uri,
                compiled_workflow=await self._compiled(dynamic),
            )
            reply.dynamic_workflow.CopyFrom(metadata)
        return reply

    async def _compiled(
        self, dynamic: DynamicWorkflow
    ) -> compiler_pb2.CompiledWorkflowClosure:
        data = await self.services.blobs.get(dynamic.inside.uri)
        return workflow_pb2.WorkflowClosure.FromString(data).compiled_workflow

"""AdminService: node executions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.admin import node_execution_pb2, workflow_pb2

from gateway.executions import data as values
from gateway.executions.lookup import execution_ref, find_attempt, find_node, node_ref
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted, missing
from gateway.translate import executions as to_flyte
from gateway.translate import flyte_urls
from gateway.translate.identifiers import identifier
from projections.queries import executions
from projections.queries.executions import Page
from projections.rows import NodeRow
from schemas.values import Blob


class NodeExecutionRpcs:
    """RPCs on node executions."""

    services: Services

    async def GetNodeExecution(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a node execution."""
        row = await find_node(self.services, *node_ref(request.id))
        return to_flyte.node_execution(row, root=self.services.blobs.root)

    async def ListNodeExecutions(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the node executions at the top, or inside a parent."""
        page = page_of(request)
        ref = execution_ref(request.workflow_execution_id)
        rows = accepted(
            await executions.list_nodes(
                self.services.pool, ref, request.unique_parent_id, page
            )
        )
        return self._listed(page, rows)

    async def ListNodeExecutionsForTask(  # noqa: N802
        self, request: Any, _context: Any
    ) -> Any:
        """Return the node executions that an attempt of a dynamic node made."""
        page = page_of(request)
        ref, node = node_ref(request.task_execution_id.node_execution_id)
        attempt = request.task_execution_id.retry_attempt
        _, of = await find_attempt(self.services, ref, node, attempt)
        rows: list[NodeRow] = []
        if of.is_dynamic:
            rows = accepted(
                await executions.list_made_nodes(
                    self.services.pool, ref, node, attempt, page
                )
            )
        return self._listed(page, rows)

    def _listed(self, page: Page, rows: Sequence[NodeRow]) -> Any:
        root = self.services.blobs.root
        return node_execution_pb2.NodeExecutionList(
            node_executions=[
                to_flyte.node_execution(row, root=root, in_list=True) for row in rows
            ],
            token=next_token(page, rows),
        )

    async def GetDynamicNodeWorkflow(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return what a dynamic node's task made, compiled."""
        ref, node = node_ref(request.id)
        made = (await find_node(self.services, ref, node)).dynamic_workflow
        if made is None:
            raise missing("dynamic workflow", f"{ref.text()}/{node}")
        reply = node_execution_pb2.DynamicNodeWorkflowResponse()
        reply.compiled_workflow.CopyFrom(await self._inside(made.inside))
        return reply

    async def _inside(self, blob: Blob) -> Any:
        data = await self.services.blobs.get(blob.uri)
        return workflow_pb2.WorkflowClosure.FromString(data).compiled_workflow

    async def GetNodeExecutionData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a node's inputs and outputs."""
        ref, node = node_ref(request.id)
        row = await find_node(self.services, ref, node)
        reply = node_execution_pb2.NodeExecutionGetDataResponse()
        await values.fill(self.services, reply, row.inputs, row.outputs)
        made = row.dynamic_workflow
        if made is not None:
            told = reply.dynamic_workflow
            told.id.CopyFrom(identifier(made.workflow))
            told.dynamic_job_spec_uri = made.spec_uri
            told.compiled_workflow.CopyFrom(await self._inside(made.inside))
        reply.flyte_urls.CopyFrom(
            flyte_urls.of_node(ref, node, has_deck=bool(row.deck_uri))
        )
        return reply

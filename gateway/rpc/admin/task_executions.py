"""AdminService: task executions, which are attempts of nodes."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import task_execution_pb2

from gateway.executions.data import fill_reply
from gateway.executions.lookup import find_attempt, node_ref
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted
from gateway.services.handlers import CallContext
from gateway.translate import flyte_urls
from gateway.translate.executions import blob_uri, to_task_execution
from projections.queries import executions
from projections.rows import ElementRow, NodeRow, TaskRow
from schemas.ids import execution_of


class TaskExecutionRpcs:
    """RPCs on task executions."""

    services: Services

    async def GetTaskExecution(
        self, request: task_execution_pb2.TaskExecutionGetRequest, _context: CallContext
    ) -> task_execution_pb2.TaskExecution:
        """Return one attempt of a node's task."""
        ref, node_id = node_ref(request.id.node_execution_id)
        attempt = request.id.retry_attempt
        row, node = await find_attempt(self.services, ref, node_id, attempt)
        return await self._task_execution(row, self._input_uri(node))

    async def ListTaskExecutions(
        self,
        request: task_execution_pb2.TaskExecutionListRequest,
        _context: CallContext,
    ) -> task_execution_pb2.TaskExecutionList:
        """Return the attempts of a node's task; an unknown node has none."""
        page = page_of(request)
        ref, node_id = node_ref(request.node_execution_id)
        pool = self.services.pool
        rows = accepted(await executions.list_task_executions(pool, ref, node_id, page))
        node = await executions.get_node(pool, ref, node_id)
        uri = self._input_uri(node) if node is not None else ""
        return task_execution_pb2.TaskExecutionList(
            task_executions=[await self._task_execution(row, uri) for row in rows],
            token=next_token(page, rows),
        )

    async def GetTaskExecutionData(
        self,
        request: task_execution_pb2.TaskExecutionGetDataRequest,
        _context: CallContext,
    ) -> task_execution_pb2.TaskExecutionGetDataResponse:
        """Return an attempt's inputs and outputs.

        The outputs of a dynamic task are those of the workflow that it returned.
        """
        ref, node_id = node_ref(request.id.node_execution_id)
        attempt = request.id.retry_attempt
        row, node = await find_attempt(self.services, ref, node_id, attempt)
        reply = task_execution_pb2.TaskExecutionGetDataResponse(
            flyte_urls=flyte_urls.of_attempt(ref, node_id, attempt)
        )
        is_dynamic = node.dynamic_workflow is not None and attempt == node.attempt
        outputs = node.outputs if is_dynamic else row.outputs
        await fill_reply(self.services, reply, inputs=node.inputs, outputs=outputs)
        return reply

    async def _task_execution(
        self, row: TaskRow, input_uri: str
    ) -> task_execution_pb2.TaskExecution:
        elements: Sequence[ElementRow] = ()
        if row.array_size:
            ref = execution_of(row.stream)
            elements = await executions.list_elements(
                self.services.pool, ref, row.node_id
            )
        return to_task_execution(
            row,
            input_uri=input_uri,
            elements=elements,
            link_base=self.services.signer.base_url,
        )

    def _input_uri(self, node: NodeRow) -> str:
        return blob_uri(self.services.blobs.root, node.input_path)

"""AdminService: task executions, which are attempts of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flyteidl.admin import task_execution_pb2

from gateway.executions import data
from gateway.executions.lookup import find_attempt, node_ref
from gateway.rpc.paging import next_token, page_of
from gateway.services.container import Services
from gateway.services.errors import accepted
from gateway.translate import executions as to_flyte
from gateway.translate import flyte_urls
from projections.queries import executions
from projections.rows import ElementRow, NodeRow, TaskRow
from schemas.ids import execution_of


class TaskExecutionRpcs:
    """RPCs on task executions."""

    services: Services

    async def GetTaskExecution(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return one attempt of a node's task."""
        ref, node = node_ref(request.id.node_execution_id)
        attempt = request.id.retry_attempt
        row, of = await find_attempt(self.services, ref, node, attempt)
        return await self._shown(row, self._input_uri(of))

    async def ListTaskExecutions(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the attempts of a node's task; a node that isn't there has none."""
        page = page_of(request)
        ref, node = node_ref(request.node_execution_id)
        rows = accepted(
            await executions.list_task_executions(self.services.pool, ref, node, page)
        )
        of = await executions.get_node(self.services.pool, ref, node)
        uri = self._input_uri(of) if of is not None else ""
        return task_execution_pb2.TaskExecutionList(
            task_executions=[await self._shown(row, uri) for row in rows],
            token=next_token(page, rows),
        )

    async def GetTaskExecutionData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return an attempt's inputs and outputs: a dynamic one's are its inside's."""
        ref, node = node_ref(request.id.node_execution_id)
        attempt = request.id.retry_attempt
        row, of = await find_attempt(self.services, ref, node, attempt)
        reply = task_execution_pb2.TaskExecutionGetDataResponse()
        is_made = of.dynamic_workflow is not None and attempt == of.attempt
        outputs = of.outputs if is_made else row.outputs
        await data.fill(self.services, reply, of.inputs, outputs)
        reply.flyte_urls.CopyFrom(flyte_urls.of_attempt(ref, node, attempt))
        return reply

    async def _shown(self, row: TaskRow, uri: str) -> Any:
        elements: Sequence[ElementRow] = ()
        if row.array_size > 0:
            ref = execution_of(row.stream)
            elements = await executions.list_elements(
                self.services.pool, ref, row.node_id
            )
        return to_flyte.task_execution(row, input_uri=uri, elements=elements)

    def _input_uri(self, node: NodeRow) -> str:
        return to_flyte.blob_uri(self.services.blobs.root, node.input_path)

"""AdminService: how long the parts of an execution took."""

from __future__ import annotations

import asyncio
from itertools import groupby

from flyteidl.admin import execution_pb2, workflow_pb2

from domain.graph import Definition, definition_of
from gateway.executions.lookup import execution_ref, find_execution
from gateway.services.container import Services
from gateway.services.handlers import CallContext
from gateway.translate.execution_spans import ExecutionTiming, span_of
from projections.queries import executions
from projections.rows import ExecutionRow
from schemas.ids import ExecutionRef, execution_of

_TO_CHILD = 2
"""A child is two levels below its parent: the node is between them."""


class MetricRpcs:
    """RPCs on the timing of executions."""

    services: Services

    async def GetExecutionMetrics(
        self,
        request: execution_pb2.WorkflowExecutionGetMetricsRequest,
        _context: CallContext,
    ) -> execution_pb2.WorkflowExecutionGetMetricsResponse:
        """Return the spans of an execution, of its nodes, attempts and children."""
        row = await find_execution(self.services, execution_ref(request.id))
        timing = await self._timing(row, request.depth)
        span = span_of(timing, request.depth)
        return execution_pb2.WorkflowExecutionGetMetricsResponse(span=span)

    async def _timing(self, row: ExecutionRow, depth: int) -> ExecutionTiming:
        services, ref = self.services, execution_of(row.stream)
        data = await services.blobs.get(row.definition.uri)
        definition = await asyncio.to_thread(_definition, data)
        if not depth:
            return ExecutionTiming(row=row, definition=definition, nodes=())
        nodes = await executions.list_all_nodes(services.pool, ref)
        attempts = await executions.list_all_attempts(services.pool, ref)
        children: dict[str, ExecutionTiming] = {}
        for node in nodes:
            if node.dynamic_workflow is not None:
                data = await services.blobs.get(node.dynamic_workflow.inside.uri)
                closure = await asyncio.to_thread(_definition, data)
                definition = definition.with_dynamic_closure(node.node_id, closure)
            if node.child and (depth < 0 or depth >= _TO_CHILD):
                child = await self._child(node.child, depth - _TO_CHILD)
                if child is not None:
                    children[node.node_id] = child
        return ExecutionTiming(
            row=row,
            definition=definition,
            nodes=nodes,
            attempts={
                node_id: list(rows)
                for node_id, rows in groupby(attempts, lambda row: row.node_id)
            },
            children=children,
        )

    async def _child(self, child: str, depth: int) -> ExecutionTiming | None:
        ref = ExecutionRef.parse(child)
        row = await executions.get_execution(self.services.pool, ref)
        return None if row is None else await self._timing(row, depth)


def _definition(data: bytes) -> Definition:
    closure = workflow_pb2.WorkflowClosure.FromString(data)
    return definition_of(closure.compiled_workflow)

"""AdminService: where the time of an execution went."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Any

from flyteidl.admin import execution_pb2, workflow_pb2

from domain.graph import Definition, definition_of
from gateway.executions.lookup import execution_ref, find_execution
from gateway.services.container import Services
from gateway.translate.execution_spans import Timed, span_of
from projections.queries import executions
from projections.rows import ExecutionRow
from schemas.ids import ExecutionRef, execution_of

_TO_CHILD = 2
"""How many levels a child lies below its parent: the node lies between them."""


class MetricRpcs:
    """RPCs on the time of executions."""

    services: Services

    async def GetExecutionMetrics(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return the spans of an execution, of its nodes, attempts and children."""
        row = await find_execution(self.services, execution_ref(request.id))
        timed = await self._timed(row, request.depth)
        span = span_of(timed, request.depth)
        return execution_pb2.WorkflowExecutionGetMetricsResponse(span=span)

    async def _timed(self, row: ExecutionRow, depth: int) -> Timed:
        services, ref = self.services, execution_of(row.stream)
        data = await services.blobs.get(row.definition.uri)
        definition = await asyncio.to_thread(_indexed, data)
        if not depth:
            return Timed(row=row, definition=definition, nodes=())
        nodes = await executions.list_all_nodes(services.pool, ref)
        attempts = await executions.list_all_attempts(services.pool, ref)
        children: dict[str, Timed] = {}
        for node in nodes:
            if node.dynamic_workflow is not None:
                made = await services.blobs.get(node.dynamic_workflow.inside.uri)
                inside = await asyncio.to_thread(_indexed, made)
                definition = definition.with_dynamic_closure(node.node_id, inside)
            if node.child and (depth < 0 or depth >= _TO_CHILD):
                children.update(
                    await self._child(node.node_id, node.child, depth - _TO_CHILD)
                )
        return Timed(
            row=row,
            definition=definition,
            nodes=nodes,
            attempts={
                node_id: list(rows)
                for node_id, rows in groupby(attempts, lambda row: row.node_id)
            },
            children=children,
        )

    async def _child(self, node_id: str, child: str, depth: int) -> dict[str, Timed]:
        project, domain, name = child.split("/", 2)
        ref = ExecutionRef(project=project, domain=domain, name=name)
        row = await executions.get_execution(self.services.pool, ref)
        return {} if row is None else {node_id: await self._timed(row, depth)}


def _indexed(data: bytes) -> Definition:
    closure = workflow_pb2.WorkflowClosure.FromString(data)
    return definition_of(closure.compiled_workflow)

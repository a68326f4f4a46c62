"""Executions, nodes and attempts, found by the ids that clients give."""

from __future__ import annotations

from typing import Any

from domain.registry.identity import check_part
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from projections.queries import executions
from projections.rows import ExecutionRow, NodeRow, TaskRow
from schemas.ids import ExecutionRef


def execution_ref(identifier: Any) -> ExecutionRef:
    """Return the reference of a core.WorkflowExecutionIdentifier; raises Refused."""
    for part in ("project", "domain", "name"):
        text = getattr(identifier, part)
        if not text:
            raise invalid(f"Expected an execution id with a {part}, but it is empty")
        if "/" in text:
            raise invalid(f"Expected a {part} without slashes, but got '{text[:100]}'")
        refused = check_part(part, text)
        if refused is not None:
            accepted(refused)
    return ExecutionRef(
        project=identifier.project, domain=identifier.domain, name=identifier.name
    )


def node_ref(identifier: Any) -> tuple[ExecutionRef, str]:
    """Return execution and node of a core.NodeExecutionIdentifier; raises Refused."""
    ref = execution_ref(identifier.execution_id)
    if not identifier.node_id:
        raise invalid("Expected a node id, but it is empty")
    return ref, identifier.node_id


async def find_execution(services: Services, ref: ExecutionRef) -> ExecutionRow:
    """Return an execution; raises Refused with NOT_FOUND."""
    row = await executions.get_execution(services.pool, ref)
    if row is None:
        raise missing("EXECUTION", ref.text())
    return row


async def find_node(services: Services, ref: ExecutionRef, node: str) -> NodeRow:
    """Return a node execution; raises Refused with NOT_FOUND."""
    row = await executions.get_node(services.pool, ref, node)
    if row is None:
        raise missing("NODE_EXECUTION", f"{ref.text()}/{node}")
    return row


async def find_attempt(
    services: Services, ref: ExecutionRef, node: str, attempt: int
) -> tuple[TaskRow, NodeRow]:
    """Return an attempt and its node execution; raises Refused with NOT_FOUND."""
    found = await find_node(services, ref, node)
    row = await executions.get_task_execution(services.pool, ref, node, attempt)
    if row is None:
        raise missing("TASK_EXECUTION", f"{ref.text()}/{node}/{attempt}")
    return row, found

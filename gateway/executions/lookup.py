"""Executions, nodes and attempts, found by the identifiers that clients send."""

from __future__ import annotations

from flyteidl.core import identifier_pb2

from domain.registry.identity import check_part
from gateway.services.container import Services
from gateway.services.errors import accepted, invalid, missing
from projections.queries import executions
from projections.rows import ExecutionRow, NodeRow, TaskRow
from schemas.ids import ExecutionRef


def execution_ref(
    identifier: identifier_pb2.WorkflowExecutionIdentifier,
) -> ExecutionRef:
    """Return the reference to an execution; raises RpcError for an invalid one."""
    return checked(
        ExecutionRef(
            project=identifier.project, domain=identifier.domain, name=identifier.name
        )
    )


def checked(ref: ExecutionRef) -> ExecutionRef:
    """Return a reference whose parts are valid; raises RpcError otherwise."""
    for part, text in (
        ("project", ref.project),
        ("domain", ref.domain),
        ("name", ref.name),
    ):
        if not text:
            raise invalid(f"Expected an execution id with a {part}, but it is empty")
        if "/" in text:
            raise invalid(f"Expected a {part} without slashes, but got '{text[:100]}'")
        accepted(check_part(part, text))
    return ref


def node_ref(
    identifier: identifier_pb2.NodeExecutionIdentifier,
) -> tuple[ExecutionRef, str]:
    """Return the execution and id of a node; raises RpcError for an invalid one."""
    ref = execution_ref(identifier.execution_id)
    if not identifier.node_id:
        raise invalid("Expected a node id, but it is empty")
    return ref, identifier.node_id


async def find_execution(services: Services, ref: ExecutionRef) -> ExecutionRow:
    """Return an execution; raises RpcError with NOT_FOUND."""
    row = await executions.get_execution(services.pool, ref)
    if row is None:
        raise missing("EXECUTION", ref.text())
    return row


async def find_node(services: Services, ref: ExecutionRef, node_id: str) -> NodeRow:
    """Return a node execution; raises RpcError with NOT_FOUND."""
    row = await executions.get_node(services.pool, ref, node_id)
    if row is None:
        raise missing("NODE_EXECUTION", f"{ref.text()}/{node_id}")
    return row


async def find_attempt(
    services: Services, ref: ExecutionRef, node_id: str, attempt: int
) -> tuple[TaskRow, NodeRow]:
    """Return an attempt and its node execution; raises RpcError with NOT_FOUND."""
    node = await find_node(services, ref, node_id)
    task = await executions.get_task_execution(services.pool, ref, node_id, attempt)
    if task is None:
        raise missing("TASK_EXECUTION", f"{ref.text()}/{node_id}/{attempt}")
    return task, node

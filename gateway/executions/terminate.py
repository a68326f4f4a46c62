"""Terminating executions, and with them what their eager tasks have started."""

from __future__ import annotations

import structlog

from gateway.services.container import Services
from gateway.services.errors import RpcError
from projections.queries import executions
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages.commands import TerminateExecution

log_ = structlog.get_logger(__name__)

EAGER = "eager-exec"
"""The label by which flytekit tells what an eager task has started."""


async def terminate(
    services: Services, ref: ExecutionRef, cause: str, *, actor: str
) -> None:
    """Abort an execution and everything that runs for it; raises Refused.

    An eager task that is stopped leaves its executions to themselves: flytekit's own
    handler for it is broken (1.16). What they have started is found in turn.
    """
    await _submit(services, ref, cause, actor)
    waiting = [ref]
    while waiting:
        parent = waiting.pop()
        found = await executions.open_and_tagged(
            services.pool, parent, EAGER, parent.name
        )
        for child in found:
            why = f"eager execution [{parent.text()}] cancelled, reason [{cause}]"
            try:
                await _submit(services, child, why, actor)
            except RpcError as refused:
                log_.info("child_not_terminated", child=child, why=refused.detail)
                continue
            waiting.append(child)


async def _submit(
    services: Services, ref: ExecutionRef, cause: str, actor: str
) -> None:
    await services.submit(
        execution_stream(ref),
        TerminateExecution(cause=cause, principal=actor),
        actor=actor,
        now_us=services.clock.now_us(),
    )

"""Terminating executions, and with them those that their eager tasks started."""

from __future__ import annotations

import structlog

from domain.text_limits import CAUSE_BYTES_MAX, cut
from gateway.services.container import Services
from gateway.services.errors import RpcError
from projections.queries import executions
from schemas.ids import ExecutionRef, execution_stream
from schemas.messages.commands import TerminateExecution

log_ = structlog.get_logger(__name__)

EAGER = "eager-exec"
"""The label that flytekit gives to executions that an eager task starts."""


async def terminate(
    services: Services, ref: ExecutionRef, cause: str, *, actor: str
) -> None:
    """Abort an execution and everything that runs for it; raises RpcError.

    An eager task that is stopped doesn't stop its executions: flytekit's own handler
    for that is broken (1.16). They are found by their label, and theirs in turn.
    """
    await _submit(services, ref, cause, actor)
    parents = [ref]
    while parents:
        parent = parents.pop()
        children = await executions.open_and_tagged(
            services.pool, parent, EAGER, parent.name
        )
        for child in children:
            reason = f"eager execution [{parent.text()}] cancelled, reason [{cause}]"
            try:
                await _submit(services, child, cut(reason, CAUSE_BYTES_MAX), actor)
            except RpcError as error:
                log_.info("child_not_terminated", child=child, why=error.detail)
                continue
            parents.append(child)


async def _submit(
    services: Services, ref: ExecutionRef, cause: str, actor: str
) -> None:
    await services.submit(
        execution_stream(ref),
        TerminateExecution(cause=cause, principal=actor),
        actor=actor,
        now_us=services.clock.now_us(),
    )

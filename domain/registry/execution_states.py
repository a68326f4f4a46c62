"""The decider of an execution's state: active or archived (ref §2.2)."""

from __future__ import annotations

from collections.abc import Sequence

from flyteidl.admin import execution_pb2

from domain.registry.identity import check_parts, invalid
from schemas.messages.registry_events import ExecutionStateSet
from schemas.messages.rejections import Rejected

ACTIVE = execution_pb2.EXECUTION_ACTIVE


def set_state(
    known: Sequence[ExecutionStateSet], wanted: ExecutionStateSet
) -> Sequence[ExecutionStateSet] | Rejected:
    """Set the state of an execution; no event if it has that state."""
    if wanted.state not in execution_pb2.ExecutionState.values():
        return invalid(f"Expected an execution's state, but got {wanted.state}")
    rejected = check_parts([("principal", wanted.principal)])
    if rejected is not None:
        return rejected
    before = known[-1].state if known else ACTIVE
    return () if before == wanted.state else (wanted,)

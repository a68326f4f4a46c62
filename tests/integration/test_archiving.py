"""Archiving: executions that clients put out of sight, and bring back (ref §2.2)."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from flyteidl.admin import common_pb2, execution_pb2
from flyteidl.core import identifier_pb2
from msgspec.structs import replace

from schemas.ids import ExecutionRef
from schemas.messages import execution_events as e
from tests.integration.conftest import refused
from tests.support.engine import NOON_US, created
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.harness.read_models import ReadModels

pytestmark = pytest.mark.integration
PROJECT, DOMAIN = "archive", "d"
ARCHIVED, ACTIVE = execution_pb2.EXECUTION_ARCHIVED, execution_pb2.EXECUTION_ACTIVE


@pytest.fixture(scope="module", autouse=True)
def _ended(gateway: RunningGateway) -> None:
    """Let two executions be seen, in a log of their own."""
    gateway.run(forget_positions(gateway))
    read_models = ReadModels(gateway.services.pool)
    for name in ("kept", "gone"):
        ref = ExecutionRef(project=PROJECT, domain=DOMAIN, name=name)
        events = (
            replace(created(), execution=ref),
            e.ExecutionStarted(occurred_at_us=NOON_US),
        )
        gateway.run(read_models.given(f"execution/{PROJECT}/{DOMAIN}/{name}", *events))
    gateway.run(forget_positions(gateway))


async def forget_positions(gateway: RunningGateway) -> None:
    """Other modules have logs of their own on the same tables."""
    async with gateway.services.pool.connection() as conn:
        await conn.execute("DELETE FROM projector_positions")


def _id(name: str) -> Any:
    return identifier_pb2.WorkflowExecutionIdentifier(
        project=PROJECT, domain=DOMAIN, name=name
    )


def _set(admin: Any, state: int, name: str = "gone") -> None:
    wanted = execution_pb2.ExecutionUpdateRequest(id=_id(name), state=state)
    admin.UpdateExecution(wanted)


def _listed(admin: Any, filters: str = "") -> list[str]:
    at = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
    request = common_pb2.ResourceListRequest(id=at, limit=10, filters=filters)
    return sorted(x.id.name for x in admin.ListExecutions(request).executions)


def test_an_archived_execution_is_out_of_sight(admin: Any) -> None:
    """Lists hide it unless a filter names its state; it can be read and reactivated."""
    _set(admin, ARCHIVED)
    _set(admin, ARCHIVED)  # again changes nothing

    assert _listed(admin) == ["kept"]
    assert _listed(admin, "ne(phase,FAILED)") == ["kept"]
    assert _listed(admin, "eq(state,1)") == ["gone"]
    assert _listed(admin, "value_in(state,0;1)") == ["gone", "kept"]
    request = execution_pb2.WorkflowExecutionGetRequest(id=_id("gone"))
    details = admin.GetExecution(request).closure.state_change_details
    assert details.state == ARCHIVED
    assert details.occurred_at.ToMicroseconds() > NOON_US

    _set(admin, ACTIVE)
    assert _listed(admin) == ["gone", "kept"]


def test_what_can_not_be_archived(admin: Any) -> None:
    """An execution that isn't there, and a state that is none."""
    with refused(grpc.StatusCode.NOT_FOUND, "EXECUTION"):
        _set(admin, ARCHIVED, "nope")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "state"):
        _set(admin, 7)

"""Terminating: what an eager task has started ends with it."""

from __future__ import annotations

from typing import Any

import pytest
from flyteidl.admin import common_pb2, execution_pb2
from flyteidl.core import identifier_pb2
from msgspec.structs import replace

from schemas.ids import ExecutionRef
from schemas.messages import execution_events as e
from schemas.messages.commands import TerminateExecution
from tests.integration.conftest import accept, answering
from tests.integration.test_archiving import forget_positions
from tests.support.engine import NOON_US, created
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.harness.read_models import ReadModels

pytestmark = pytest.mark.integration
PROJECT, DOMAIN = "eager", "d"


@pytest.fixture(scope="module", autouse=True)
def _running(gateway: RunningGateway) -> None:
    """Let an eager execution, what it started, and something else be seen."""
    gateway.run(forget_positions(gateway))
    read_models = ReadModels(gateway.services.pool)
    parents = {"main": "", "child": "main", "below": "child", "ended": "main"}
    for name, parent in (*parents.items(), ("other", "")):
        labels = {"eager-exec": parent} if parent else {}
        spec = execution_pb2.ExecutionSpec(labels=common_pb2.Labels(values=labels))
        ref = ExecutionRef(project=PROJECT, domain=DOMAIN, name=name)
        events: list[Any] = [
            replace(created(), execution=ref, spec=spec.SerializeToString()),
            e.ExecutionStarted(occurred_at_us=NOON_US),
        ]
        if name == "ended":
            events.append(
                e.ExecutionAborted(occurred_at_us=NOON_US, cause="", principal="")
            )
        gateway.run(read_models.given(f"execution/{PROJECT}/{DOMAIN}/{name}", *events))
    gateway.run(forget_positions(gateway))


def test_what_eager_tasks_started_ends_too(gateway: RunningGateway, admin: Any) -> None:
    """In turn, each with the reason; ended and unrelated ones are left alone."""
    main = identifier_pb2.WorkflowExecutionIdentifier(
        project=PROJECT, domain=DOMAIN, name="main"
    )
    request = execution_pb2.ExecutionTerminateRequest(id=main, cause="enough")
    with answering(gateway, accept) as commands:
        admin.TerminateExecution(request)

    assert all(isinstance(command, TerminateExecution) for command in commands)
    assert [command.cause for command in commands] == [
        "enough",
        "eager execution [eager/d/main] cancelled, reason [enough]",
        "eager execution [eager/d/child] cancelled, reason [enough]",
    ]

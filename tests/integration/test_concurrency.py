"""Concurrency limits of launch plans: at the limit no command is submitted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from flyteidl.admin import execution_pb2, launch_plan_pb2
from msgspec.structs import replace

from domain.graph import to_identifier
from gateway.registry.append import decide
from schemas.ids import EntityRef, ExecutionRef
from schemas.messages import execution_events as e
from schemas.messages.registry_events import LaunchPlanRegistered
from tests.integration.conftest import accept, answering, refused
from tests.integration.test_archiving import forget_positions
from tests.support.engine import NOON_US, created
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.harness.read_models import ReadModels

pytestmark = pytest.mark.integration

PROJECT, DOMAIN = "flytesnacks", "development"
PLAN = EntityRef(
    kind="LAUNCH_PLAN", project=PROJECT, domain=DOMAIN, name="limited", version="v"
)


@pytest.fixture(scope="module")
def running(gateway: RunningGateway) -> Iterator[ReadModels]:
    """Register a launch plan of at most two executions, and run one of them."""
    policy = launch_plan_pb2.ConcurrencyPolicy(
        max=2, behavior=launch_plan_pb2.CONCURRENCY_LIMIT_BEHAVIOR_SKIP
    )
    spec = launch_plan_pb2.LaunchPlanSpec(concurrency_policy=policy)
    registered = LaunchPlanRegistered(
        occurred_at_us=NOON_US,
        entity=PLAN,
        digest="",
        workflow=replace(PLAN, kind="WORKFLOW"),
        spec=spec.SerializeToString(),
        closure=b"",
    )
    store = gateway.services.store
    gateway.run(decide(store, "registry/launch_plan/limited", lambda _: (registered,)))
    gateway.run(forget_positions(gateway))
    read_models = ReadModels(gateway.services.pool)
    run(gateway, read_models, "first")
    yield read_models
    gateway.run(forget_positions(gateway))


def run(gateway: RunningGateway, read_models: ReadModels, name: str) -> None:
    """Let the read models show a running execution of the launch plan."""
    execution = ExecutionRef(project=PROJECT, domain=DOMAIN, name=name)
    events = (
        replace(created(), execution=execution, launch_plan=PLAN),
        e.ExecutionStarted(occurred_at_us=NOON_US),
    )
    gateway.run(read_models.given(f"execution/{execution.text()}", *events))


def test_at_the_limit_nothing_is_created(
    gateway: RunningGateway, running: ReadModels, admin: Any
) -> None:
    """Below the limit a command is submitted; at it the error has the figures."""
    spec = execution_pb2.ExecutionSpec(launch_plan=to_identifier(PLAN))
    request = execution_pb2.ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, spec=spec
    )
    with answering(gateway, accept) as commands:
        admin.CreateExecution(request)
        run(gateway, running, "second")
        with refused(
            grpc.StatusCode.ALREADY_EXISTS,
            "Concurrency limit of launch plan 'limited' reached (2 of 2 running). "
            "No execution was created.",
        ):
            admin.CreateExecution(request)
    assert len(commands) == 1

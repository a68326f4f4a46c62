"""Executions over a real channel: created, terminated, read; data within limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from flyteidl.admin import (
    event_pb2,
    execution_pb2,
    node_execution_pb2,
    task_execution_pb2,
)
from flyteidl.core import identifier_pb2, literals_pb2
from flyteidl.service import dataproxy_pb2
from google.rpc import status_pb2
from msgspec.structs import replace

from infra.eventlog.contract import Received
from projections.rows import Outcome
from schemas import sites
from schemas.ids import EntityRef, ExecutionRef
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.commands import CreateExecution, TerminateExecution
from schemas.values import Blob, TaskLog, Values
from schemas.wire import codec
from tests.integration.conftest import accept, answering, refused, reject
from tests.support.engine import NOON_US, created
from tests.support.graphs import values
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.harness.read_models import ReadModels
from tests.support.raw import echo_task

pytestmark = pytest.mark.integration

PROJECT, DOMAIN = "flytesnacks", "development"
RUN = ExecutionRef(project="p", domain="d", name="run")
RUN_ID = identifier_pb2.WorkflowExecutionIdentifier(project="p", domain="d", name="run")
NODE_ID = identifier_pb2.NodeExecutionIdentifier(node_id="n0", execution_id=RUN_ID)
LARGE = 150_000

Spec = execution_pb2.ExecutionSpec
PLAN = identifier_pb2.LAUNCH_PLAN


def identifier(kind: int, name: str = "n", version: str = "v") -> Any:
    """Return the id of something registered."""
    return identifier_pb2.Identifier(
        resource_type=kind, project=PROJECT, domain=DOMAIN, name=name, version=version
    )


def a_request(**fields: Any) -> Any:
    """Return a request to create an execution of a launch plan."""
    spec = execution_pb2.ExecutionSpec(
        launch_plan=identifier(identifier_pb2.LAUNCH_PLAN)
    )
    spec.metadata.principal = "placeholder"
    return execution_pb2.ExecutionCreateRequest(
        **{"project": PROJECT, "domain": DOMAIN, "spec": spec, **fields}
    )


def text(size: int) -> Any:
    """Return a literal map with one text of this size."""
    found = literals_pb2.LiteralMap()
    found.literals["a"].scalar.primitive.string_value = "x" * size
    return found


def test_a_creation_becomes_a_command(gateway: RunningGateway, admin: Any) -> None:
    """The command holds the id, the spec without inputs, and the inputs."""
    with answering(gateway, accept) as commands:
        reply = admin.CreateExecution(a_request(name="my-run", inputs=text(3)))
    (command,) = commands
    assert isinstance(command, CreateExecution)
    assert ("flytesnacks", "development", "my-run") == (
        reply.id.project, reply.id.domain, reply.id.name,
    )  # fmt: skip
    spec = execution_pb2.ExecutionSpec.FromString(command.spec)
    assert "" == spec.metadata.principal
    assert not spec.inputs.literals
    assert text(3) == literals_pb2.LiteralMap.FromString(command.inputs or b"")
    assert "LAUNCH_PLAN" == command.launch_plan.kind


def test_a_name_is_drawn(gateway: RunningGateway, admin: Any) -> None:
    """Without a name one is drawn as Flyte draws it, each time another."""
    with answering(gateway, accept):
        names = [admin.CreateExecution(a_request()).id.name for _ in range(2)]
    assert names[0] != names[1]
    assert all(re.fullmatch("a[bcdfghjklmnpqrstvwxz2456789]{19}", n) for n in names)


def test_large_inputs_become_a_blob(gateway: RunningGateway, admin: Any) -> None:
    """Inputs above the limit are a blob, there until the command was handled."""
    read: list[bytes] = []

    def reads(received: Received) -> Outcome:
        command = codec.decode(received.body)
        read.append(Path(command.inputs_uri).read_bytes())
        return accept(received)

    with answering(gateway, reads) as commands:
        admin.CreateExecution(a_request(inputs=text(LARGE)))
    (command,) = commands
    assert command.inputs is None
    assert text(LARGE) == literals_pb2.LiteralMap.FromString(read[0])
    assert gateway.run(gateway.services.blobs.size(command.inputs_uri)) is None


def test_inputs_may_be_in_the_spec(gateway: RunningGateway, admin: Any) -> None:
    """Older clients put inputs into the spec."""
    request = a_request()
    request.spec.inputs.CopyFrom(text(2))
    with answering(gateway, accept) as commands:
        admin.CreateExecution(request)
    assert text(2).SerializeToString() == commands[0].inputs


def test_a_refusal_reaches_the_client(gateway: RunningGateway, admin: Any) -> None:
    """What the propeller refuses ends the call with its status and detail."""

    def commands(received: Received) -> Outcome:
        return reject(received, "ALREADY_EXISTS", "Expected x, but it already exists")

    already = refused(grpc.StatusCode.ALREADY_EXISTS, "already exists")
    with answering(gateway, commands), already:
        admin.CreateExecution(a_request(name="my-run"))


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"project": ""}, "project and a domain"),
        ({"project": "a/b"}, "project and a domain"),
        ({"domain": "\n"}, "project and a domain"),
        ({"name": "9-begins-with-a-digit"}, "execution name"),
        ({"name": "under_score"}, "execution name"),
        ({"name": "line\n"}, "execution name"),
        ({"name": "n" * 64}, "execution name"),
        ({"spec": None}, "Expected a spec"),
        ({"spec": Spec()}, "launch plan with a project"),
        ({"spec": Spec(launch_plan=identifier(PLAN, version="\0"))}, "NUL"),
        (
            {"spec": Spec(launch_plan=identifier(identifier_pb2.WORKFLOW))},
            "LAUNCH_PLAN or TASK",
        ),
        (
            {"spec": Spec(launch_plan=identifier(PLAN), tags=["t" * 4_000])},
            "a tag of at most 500 bytes, but it has 4000",
        ),
    ],
)
def test_bad_creations_leave_no_command(
    gateway: RunningGateway, admin: Any, fields: dict[str, Any], detail: str
) -> None:
    """The gateway refuses what is invalid by itself, and appends nothing."""
    wrong = refused(grpc.StatusCode.INVALID_ARGUMENT, detail)
    with answering(gateway, accept) as commands, wrong:
        admin.CreateExecution(a_request(**fields))
    assert not commands


def test_a_task_may_be_executed_alone(gateway: RunningGateway, admin: Any) -> None:
    """A task gets a launch plan generated for it; unknown tasks are not found."""
    task = echo_task("t")
    task.id.name = "executed-alone"
    admin.CreateTask(task)
    request = a_request()
    request.spec.launch_plan.CopyFrom(task.id)
    with answering(gateway, accept) as commands:
        admin.CreateExecution(request)
    assert "TASK" == commands[0].launch_plan.kind
    request.spec.launch_plan.name = "unheard-of"
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity of type TASK"):
        admin.CreateExecution(request)


def test_a_termination_becomes_a_command(gateway: RunningGateway, admin: Any) -> None:
    """The cause travels; an unknown execution is missing, with Flyte's text."""
    request = execution_pb2.ExecutionTerminateRequest(id=RUN_ID, cause="enough")
    with answering(gateway, accept) as commands:
        admin.TerminateExecution(request)
    assert [TerminateExecution(cause="enough")] == commands

    def unknown(received: Received) -> Outcome:
        return reject(received, "NOT_FOUND", "it does not exist")

    with (
        answering(gateway, unknown),
        refused(
            grpc.StatusCode.NOT_FOUND,
            "missing entity of type EXECUTION with identifier p/d/run",
        ),
    ):
        admin.TerminateExecution(request)


@pytest.fixture(scope="module")
def run(gateway: RunningGateway) -> dict[str, str]:
    """Let an execution with large outputs and a deck be seen; return its blobs."""
    blobs = gateway.services.blobs
    uris = {name: blobs.uri(f"data/{name}") for name in ("outputs", "deck")}
    data = text(LARGE).SerializeToString()
    gateway.run(blobs.put(uris["outputs"], data))
    gateway.run(blobs.put(uris["deck"], b"<html>"))
    outputs = Values(uri=uris["outputs"], size=len(data))
    site = sites.NodeSite(node_id="n0", spec_node_id="n0", kind="task")
    task = EntityRef(kind="TASK", project="p", domain="d", name="t", version="v")
    spec = execution_pb2.ExecutionSpec(
        launch_plan=identifier(identifier_pb2.LAUNCH_PLAN), max_parallelism=9
    )
    first = replace(
        created(),
        execution=RUN,
        spec=spec.SerializeToString(),
        definition=Blob(uri="/", digest="", size=0),
    )
    at = NOON_US
    events = (
        first,
        e.ExecutionStarted(occurred_at_us=at),
        ne.NodeQueued(
            occurred_at_us=at, site=site, inputs=Values(inline=values(x=1)),
            input_path="metadata/in.pb",
        ),
        ne.TaskQueued(
            occurred_at_us=at, node_id="n0", attempt=0, task=task, task_type="python",
            generated_name="run-n0-0",
        ),
        ne.NodeStarted(occurred_at_us=at, node_id="n0"),
        ne.TaskSucceeded(
            occurred_at_us=at, node_id="n0", attempt=0, ended_at_us=at, outputs=outputs,
            logs=(TaskLog(name="log", uri="http://log"),),
        ),
        ne.NodeSucceeded(
            occurred_at_us=at, node_id="n0", outputs=outputs, deck_uri=uris["deck"]
        ),
        e.ExecutionSucceeded(occurred_at_us=at, outputs=outputs),
    )  # fmt: skip
    gateway.run(ReadModels(gateway.services.pool).given("execution/p/d/run", *events))
    return uris


@pytest.mark.usefixtures("run")
def test_what_ended_can_not_be_terminated(gateway: RunningGateway, admin: Any) -> None:
    """Programs find the phase that it ended in."""

    def ended(received: Received) -> Outcome:
        return reject(received, "FAILED_PRECONDITION", "it is already SUCCEEDED")

    request = execution_pb2.ExecutionTerminateRequest(id=RUN_ID)
    over = refused(grpc.StatusCode.FAILED_PRECONDITION, "SUCCEEDED")
    with answering(gateway, ended), over as failed:
        admin.TerminateExecution(request)
    data = dict(failed.value.trailing_metadata())["grpc-status-details-bin"]
    reason = event_pb2.EventFailureReason()
    assert status_pb2.Status.FromString(data).details[0].Unpack(reason)
    assert "SUCCEEDED" == reason.already_in_terminal_state.current_phase


def test_what_fits_is_whole_and_what_does_not_is_a_link(
    admin: Any, run: dict[str, str]
) -> None:
    """Small inputs are included; large outputs have a link and a size."""
    request = execution_pb2.WorkflowExecutionGetDataRequest(id=RUN_ID)
    found = admin.GetExecutionData(request)
    assert 1 == found.full_inputs.literals["x"].scalar.primitive.integer
    assert not found.full_outputs.literals
    assert found.outputs.bytes > LARGE
    assert urlsplit(found.outputs.url).path.startswith("/blobs/")
    assert "" == found.inputs.url
    assert run["outputs"] not in found.outputs.url


@pytest.mark.usefixtures("run")
def test_nodes_and_attempts_have_data_too(admin: Any) -> None:
    """A node's and an attempt's data, with their flyte:// URLs."""
    node = admin.GetNodeExecutionData(
        node_execution_pb2.NodeExecutionGetDataRequest(id=NODE_ID)
    )
    assert "flyte://v1/p/d/run/n0/d" == node.flyte_urls.deck
    assert 1 == node.full_inputs.literals["x"].scalar.primitive.integer
    task = identifier_pb2.Identifier(
        resource_type=1, project="p", domain="d", name="t", version="v"
    )
    attempt = identifier_pb2.TaskExecutionIdentifier(
        task_id=task, node_execution_id=NODE_ID, retry_attempt=0
    )
    data = admin.GetTaskExecutionData(
        task_execution_pb2.TaskExecutionGetDataRequest(id=attempt)
    )
    assert "flyte://v1/p/d/run/n0/0/o" == data.flyte_urls.outputs
    assert data.outputs.bytes > LARGE
    found = admin.GetTaskExecution(
        task_execution_pb2.TaskExecutionGetRequest(id=attempt)
    )
    assert found.input_uri.endswith("/blobs/metadata/in.pb")
    assert "http://log" == found.closure.logs[0].uri
    attempt.retry_attempt = 5
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity of type TASK_EXECUTION"):
        admin.GetTaskExecution(task_execution_pb2.TaskExecutionGetRequest(id=attempt))


@pytest.mark.usefixtures("run")
def test_executions_are_found_by_name(admin: Any) -> None:
    """A list may be restricted to one name."""
    from flyteidl.admin import common_pb2

    def found(name: str) -> list[str]:
        at = common_pb2.NamedEntityIdentifier(project="p", domain="d", name=name)
        request = common_pb2.ResourceListRequest(id=at, limit=10)
        return [row.id.name for row in admin.ListExecutions(request).executions]

    assert ["run"] == found("run")
    assert not found("walk")


@pytest.mark.usefixtures("run")
def test_a_recovery_names_what_it_recovers(gateway: RunningGateway, admin: Any) -> None:
    """It has the mode and the reference. Unknown executions are missing."""
    request = execution_pb2.ExecutionRecoverRequest(id=RUN_ID)
    with answering(gateway, accept) as commands:
        admin.RecoverExecution(request)
    spec = execution_pb2.ExecutionSpec.FromString(commands[0].spec)
    assert execution_pb2.ExecutionMetadata.RECOVERED == spec.metadata.mode
    assert RUN_ID == spec.metadata.reference_execution
    request.id.name = "unheard-of"
    with refused(grpc.StatusCode.NOT_FOUND):
        admin.RecoverExecution(request)


@pytest.mark.usefixtures("run")
def test_a_relaunch_takes_settings_and_inputs_over(
    gateway: RunningGateway, admin: Any
) -> None:
    """A relaunch has the mode, the reference, settings and inputs as given."""
    run_id = identifier_pb2.WorkflowExecutionIdentifier(
        project="p", domain="d", name="run"
    )
    request = execution_pb2.ExecutionRelaunchRequest(id=run_id, name="again")
    with answering(gateway, accept) as commands:
        reply = admin.RelaunchExecution(request)
    (command,) = commands
    assert ("p", "d", "again") == (reply.id.project, reply.id.domain, reply.id.name)
    spec = execution_pb2.ExecutionSpec.FromString(command.spec)
    assert execution_pb2.ExecutionMetadata.RELAUNCH == spec.metadata.mode
    assert run_id == spec.metadata.reference_execution
    assert 9 == spec.max_parallelism
    assert values(x=1) == command.inputs


@pytest.mark.usefixtures("run")
def test_data_by_flyte_urls(admin: Any, proxy: Any) -> None:
    """Literals, one literal, a deck's link; too much and too little are refused."""
    del admin

    def get(url: str) -> Any:
        return proxy.GetData(dataproxy_pb2.GetDataRequest(flyte_url=url))

    base = "flyte://v1/p/d/run/n0"
    assert 1 == get(f"{base}/i").literal_map.literals["x"].scalar.primitive.integer
    assert 1 == get(f"{base}/0/i/x").literal.scalar.primitive.integer
    assert get(f"{base}/d").pre_signed_urls.signed_url[0].startswith("http://")
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        get(f"{base}/o")
    with refused(grpc.StatusCode.NOT_FOUND, "Expected one of x"):
        get(f"{base}/i/y")
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity of type NODE_EXECUTION"):
        get("flyte://v1/p/d/run/unheard-of/i")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "flyte://v1/"):
        get("http://example.org")


@pytest.mark.usefixtures("run")
def test_a_decks_link(proxy: Any) -> None:
    """A deck is given by a link, for a node that is there."""
    request = dataproxy_pb2.CreateDownloadLinkRequest(
        artifact_type=dataproxy_pb2.ARTIFACT_TYPE_DECK, node_execution_id=NODE_ID
    )
    found = proxy.CreateDownloadLink(request)
    assert list(found.signed_url) == list(found.pre_signed_urls.signed_url)
    assert found.expires_at.seconds
    request.node_execution_id.node_id = "unheard-of"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "missing entity"):
        proxy.CreateDownloadLink(request)
    request.artifact_type = 0
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "DECK"):
        proxy.CreateDownloadLink(request)

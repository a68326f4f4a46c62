"""Whatever is sent to an RPC, the answer is a status that means something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from flyteidl.admin import execution_pb2, project_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import admin_pb2, admin_pb2_grpc, dataproxy_pb2, signal_pb2
from flytekit.clients.friendly import SynchronousFlyteClient
from flytekit.configuration import PlatformConfig
from flytekit.exceptions.user import FlyteEntityAlreadyExistsException
from google.protobuf import message_factory

from tests.integration.conftest import accept, answering
from tests.support import raw
from tests.support.components.postgres import migrated_database
from tests.support.harness.gateway_harness import RunningGateway, run_gateway
from tests.support.noise import Noise

SERVICES = (
    *admin_pb2.DESCRIPTOR.services_by_name.values(),
    *dataproxy_pb2.DESCRIPTOR.services_by_name.values(),
    *signal_pb2.DESCRIPTOR.services_by_name.values(),
)
METHODS = [
    method
    for service in SERVICES
    for method in service.methods
    if not (method.client_streaming or method.server_streaming)
]
MEANINGLESS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}
EACH = 25
CHANGES = 300
SEED = 7
KNOWN = {"project": raw.PROJECT, "domain": raw.DOMAIN, "name": "noise", "version": "v1"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """Run a separate gateway: noise archives projects and takes names."""
    folder = tmp_path_factory.mktemp("noise")
    with run_gateway(migrated_database(), folder, command_timeout_s=1.5) as opened:
        yield opened


@pytest.fixture(scope="module")
def channel(gateway: RunningGateway) -> Iterator[grpc.Channel]:
    """Return a plain channel to it."""
    with grpc.insecure_channel(gateway.endpoint) as opened:
        yield opened


@pytest.fixture
def client(gateway: RunningGateway) -> SynchronousFlyteClient:
    """Return flytekit's own client of a project that noise hasn't archived."""
    found = SynchronousFlyteClient(
        PlatformConfig(endpoint=gateway.endpoint, insecure=True)
    )
    stub = admin_pb2_grpc.AdminServiceStub(grpc.insecure_channel(gateway.endpoint))
    stub.UpdateProject(project_pb2.Project(id=raw.PROJECT, name=raw.PROJECT))
    return found


def _caller(channel: grpc.Channel, method: Any) -> Any:
    answer = message_factory.GetMessageClass(method.output_type)
    return channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )


def _status(call: Any, message: Any) -> grpc.StatusCode:
    """Return how a call ended; one that means nothing fails the test."""
    try:
        call(message, timeout=20)
    except grpc.RpcError as error:
        code, detail = error.code(), error.details()
        assert code not in MEANINGLESS, f"{code}: {detail}\n{str(message)[:800]}"
        assert detail, f"{code} without a text\n{str(message)[:800]}"
        assert "Traceback" not in detail
        return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_noise_gets_a_status_that_means_something(
    gateway: RunningGateway, channel: grpc.Channel, method: Any
) -> None:
    """No request of noise ends as UNKNOWN, INTERNAL or never."""
    noise, call = Noise(SEED), _caller(channel, method)
    request = message_factory.GetMessageClass(method.input_type)
    with answering(gateway, accept):
        codes = Counter(
            _status(call, noise.filled(request(), **KNOWN)) for _ in range(EACH)
        )
    assert codes.total() == EACH


def _goods() -> dict[str, Any]:
    task = raw.echo_task("noise")
    workflow = raw.layers_workflow("noise", "noise", 2, 2)
    create = execution_pb2.ExecutionCreateRequest(
        project=raw.PROJECT, domain=raw.DOMAIN, name="noise"
    )
    plan = create.spec.launch_plan
    plan.resource_type = identifier_pb2.LAUNCH_PLAN
    plan.project, plan.domain = raw.PROJECT, raw.DOMAIN
    plan.name, plan.version = "noise", raw.VERSION
    create.inputs.literals["a"].scalar.primitive.integer = 1
    return {"CreateTask": task, "CreateWorkflow": workflow, "CreateExecution": create}


@pytest.mark.parametrize("rpc", ["CreateTask", "CreateWorkflow", "CreateExecution"])
def test_a_good_request_with_one_change_gets_a_status(
    gateway: RunningGateway, channel: grpc.Channel, client: Any, rpc: str
) -> None:
    """Nearly valid requests are accepted or refused, never an internal error."""
    with suppress(FlyteEntityAlreadyExistsException):
        raw.register_layers(client, "noise", layers=2, width=2)
    noise = Noise(SEED)
    method = admin_pb2.DESCRIPTOR.services_by_name["AdminService"].methods_by_name[rpc]
    call, good = _caller(channel, method), _goods()[rpc]
    with answering(gateway, accept):
        codes = Counter(_status(call, noise.changed(good)) for _ in range(CHANGES))
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > 0
    assert codes.total() == CHANGES

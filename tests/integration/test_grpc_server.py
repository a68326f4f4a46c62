"""The server itself: health, reflection, limits, and calls that go wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from flyteidl.admin import (
    common_pb2,
    event_pb2,
    execution_pb2,
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
    version_pb2,
    workflow_attributes_pb2,
)
from flyteidl.core import identifier_pb2
from flyteidl.service import (
    auth_pb2,
    auth_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway.rpc.admin.service import Admin
from tests.integration.conftest import Calls, refused
from tests.support.harness.gateway_harness import RunningGateway

pytestmark = pytest.mark.integration

ADMIN = "/flyteidl.service.AdminService"


def soon(holds: Callable[[], bool]) -> None:
    """Wait until something holds: the server goes on after the client's reply."""
    until = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_it_is_healthy(channel: grpc.Channel) -> None:
    """Health is known under the name that Flyte's has, and none."""
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", "flyteadmin"):
        reply = stub.Check(health_pb2.HealthCheckRequest(service=name))
        assert health_pb2.HealthCheckResponse.SERVING == reply.status


def test_it_tells_what_it_serves(channel: grpc.Channel) -> None:
    """Reflection lists the services."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (reply,) = stub.ServerReflectionInfo(iter([request]))
    names = {service.name for service in reply.list_services_response.service}
    assert "flyteidl.service.AdminService" in names
    assert "flyteidl.service.DataProxyService" in names


def test_versions(admin: Any) -> None:
    """The server says which it is."""
    reply = admin.GetVersion(version_pb2.GetVersionRequest())
    assert reply.control_plane_version.Version


def test_auth_is_off(channel: grpc.Channel) -> None:
    """The services of authentication are UNIMPLEMENTED while it is off."""
    identity = identity_pb2_grpc.IdentityServiceStub(channel)
    with refused(grpc.StatusCode.UNIMPLEMENTED, "authentication is off"):
        identity.UserInfo(identity_pb2.UserInfoRequest())
    metadata = auth_pb2_grpc.AuthMetadataServiceStub(channel)
    with refused(grpc.StatusCode.UNIMPLEMENTED, "authentication is off"):
        metadata.GetOAuth2Metadata(auth_pb2.OAuth2MetadataRequest())


@pytest.mark.parametrize("kind", ["Workflow", "Node", "Task"])
def test_other_engines_report_nothing(admin: Any, kind: str) -> None:
    """Reports of phases are refused with the reason."""
    request = {
        "Workflow": event_pb2.WorkflowExecutionEventRequest,
        "Node": event_pb2.NodeExecutionEventRequest,
        "Task": event_pb2.TaskExecutionEventRequest,
    }[kind]()
    with refused(grpc.StatusCode.UNIMPLEMENTED, "decides phases itself"):
        getattr(admin, f"Create{kind}Event")(request)


def test_no_rpc_answers_unknown_to_an_empty_request(channel: grpc.Channel) -> None:
    """Each of AdminService's RPCs, given nothing: OK or a status with a text."""
    for name in dir(Admin):
        if not name[0].isupper():
            continue
        try:
            channel.unary_unary(f"{ADMIN}/{name}")(b"", timeout=5)
        except grpc.RpcError as error:
            assert error.code() in {
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.UNIMPLEMENTED,
            }, (name, error.code())
            assert error.details(), name


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"]
)
def test_bytes_that_are_no_request(channel: grpc.Channel, data: bytes) -> None:
    """What can't be read is INVALID_ARGUMENT, not UNKNOWN."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "Expected"):
        channel.unary_unary(f"{ADMIN}/GetTask")(data)


def test_what_is_not_there(channel: grpc.Channel) -> None:
    """Errors about unknown services and methods name them."""
    for method in (f"{ADMIN}/Unheard", "/nobody.Service/Unheard"):
        with refused(grpc.StatusCode.UNIMPLEMENTED, "Unheard"):
            channel.unary_unary(method)(b"")


def test_a_message_too_large_is_refused(gateway: RunningGateway) -> None:
    """The limit is wide, and crossing it has its own status."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(gateway.endpoint, options=options) as channel:
        call = channel.unary_unary(f"{ADMIN}/CreateTask")
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            call(b"\0" * (65 * 2**20))


def test_pings_of_an_idle_client_are_fine(gateway: RunningGateway) -> None:
    """flytekit pings idle channels; the server doesn't send it away."""
    options = [
        ("grpc.keepalive_time_ms", 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with grpc.insecure_channel(gateway.endpoint, options=options) as channel:
        call = channel.unary_unary(f"{ADMIN}/GetVersion")
        call(b"")
        time.sleep(2.5)
        call(b"", wait_for_ready=False)


def test_a_client_that_gives_up_leaves_nothing_behind(
    gateway: RunningGateway, admin: Any, calls: Calls
) -> None:
    """A call that is given up is CANCELLED here, and waits no longer."""
    at = identifier_pb2.WorkflowExecutionIdentifier(project="p", domain="d", name="n")
    request = execution_pb2.ExecutionTerminateRequest(id=at)
    with refused(grpc.StatusCode.DEADLINE_EXCEEDED):
        admin.TerminateExecution(request, timeout=0.3)
    soon(lambda: "CANCELLED" in calls.codes("TerminateExecution"))
    assert 0 == gateway.services.submit.in_flight


def test_a_timeout_says_that_the_command_was_accepted(admin: Any) -> None:
    """A command without an outcome ends with DEADLINE_EXCEEDED and a text."""
    at = identifier_pb2.WorkflowExecutionIdentifier(project="p", domain="d", name="n")
    request = execution_pb2.ExecutionTerminateRequest(id=at)
    with refused(
        grpc.StatusCode.DEADLINE_EXCEEDED, "was accepted and will be processed"
    ):
        admin.TerminateExecution(request)


def test_calls_are_told_of(admin: Any, calls: Calls) -> None:
    """Each call is counted with its status."""
    before = len(calls.codes("GetTask"))
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        admin.GetTask(common_pb2.ObjectGetRequest())
    soon(lambda: len(calls.codes("GetTask")) > before)
    assert ["INVALID_ARGUMENT"] == calls.codes("GetTask")[before:]


def test_attributes(admin: Any) -> None:
    """Attributes are set, read and deleted at each level by itself."""
    parallelism = matchable_resource_pb2.MatchingAttributes()
    parallelism.workflow_execution_config.max_parallelism = 3
    kind = matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG
    at = {"project": "flytesnacks", "domain": "development"}
    level = project_domain_attributes_pb2.ProjectDomainAttributes(
        **at, matching_attributes=parallelism
    )
    update = project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(
        attributes=level
    )
    get = project_domain_attributes_pb2.ProjectDomainAttributesGetRequest(
        **at, resource_type=kind
    )
    delete = project_domain_attributes_pb2.ProjectDomainAttributesDeleteRequest(
        **at, resource_type=kind
    )
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity"):
        admin.GetProjectDomainAttributes(get)
    admin.UpdateProjectDomainAttributes(update)
    assert level == admin.GetProjectDomainAttributes(get).attributes
    listed = admin.ListMatchableAttributes(
        matchable_resource_pb2.ListMatchableAttributesRequest(resource_type=kind)
    )
    assert [("flytesnacks", "development", "")] == [
        (c.project, c.domain, c.workflow) for c in listed.configurations
    ]
    admin.DeleteProjectDomainAttributes(delete)
    with refused(grpc.StatusCode.NOT_FOUND):
        admin.DeleteProjectDomainAttributes(delete)


def test_attributes_of_nothing(admin: Any) -> None:
    """Levels without a name, unknown kinds and unknown projects are refused."""
    wrong = (
        (
            admin.UpdateProjectDomainAttributes,
            project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(
                attributes={"project": "flytesnacks"}
            ),
        ),
        (
            admin.UpdateWorkflowAttributes,
            workflow_attributes_pb2.WorkflowAttributesUpdateRequest(
                attributes={"project": "flytesnacks", "domain": "development"}
            ),
        ),
        (
            admin.UpdateProjectAttributes,
            project_attributes_pb2.ProjectAttributesUpdateRequest(
                attributes={"project": "flytesnacks"}
            ),
        ),
        (
            admin.GetProjectAttributes,
            project_attributes_pb2.ProjectAttributesGetRequest(
                project="flytesnacks", resource_type=77
            ),
        ),
    )
    for rpc, request in wrong:
        with refused(grpc.StatusCode.INVALID_ARGUMENT, ""):
            rpc(request)
    defaults = admin.GetProjectAttributes(
        project_attributes_pb2.ProjectAttributesGetRequest(
            project="flytesnacks",
            resource_type=matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG,
        )
    )
    config = defaults.attributes.matching_attributes.workflow_execution_config
    assert 25 == config.max_parallelism

"""Registration over a real channel: by flytekit, by plain requests in edge cases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from flyteidl.admin import (
    common_pb2,
    launch_plan_pb2,
    project_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.core import identifier_pb2
from flytekit import LaunchPlan
from flytekit.configuration import (
    Config,
    Image,
    ImageConfig,
    PlatformConfig,
    SerializationSettings,
)
from flytekit.exceptions.user import FlyteEntityNotExistException
from flytekit.models.common import NamedEntityIdentifier
from flytekit.models.core.identifier import Identifier, ResourceType
from flytekit.remote import FlyteRemote
from google.rpc import status_pb2

from schemas.ids import EntityRef
from tests.integration.conftest import refused
from tests.support.flytekit import workflows as flows
from tests.support.harness.gateway_harness import RunningGateway
from tests.support.raw import echo_task, layers_workflow

pytestmark = pytest.mark.integration

PROJECT, DOMAIN = "flytesnacks", "development"
IMAGE = Image("default", "example.org/image", "v1")
IMAGES = ImageConfig(IMAGE, [IMAGE])


@pytest.fixture(scope="module")
def remote(gateway: RunningGateway) -> FlyteRemote:
    """Return flytekit's remote, as scripts use it."""
    config = Config(platform=PlatformConfig(endpoint=gateway.endpoint, insecure=True))
    return FlyteRemote(config, PROJECT, DOMAIN)


def register(remote: FlyteRemote, flow: Any, version: str) -> Any:
    """Register a workflow and its default launch plan, without code."""
    settings = SerializationSettings(
        project=PROJECT, domain=DOMAIN, version=version, image_config=IMAGES
    )
    return remote.register_workflow(flow, settings, version=version)


def in_place(request: Any, name: str, version: str = "v1") -> Any:
    """Return a request with another name and version."""
    request.id.name, request.id.version = name, version
    return request


def test_a_workflow_registers_and_comes_back(remote: FlyteRemote, admin: Any) -> None:
    """Flytekit registers a workflow with sub-workflows and reads it all back."""
    register(remote, flows.nested_subs, "v1")

    found = remote.fetch_workflow(PROJECT, DOMAIN, flows.nested_subs.name, "v1")
    assert {"a"} == set(found.interface.inputs)
    assert 3 == len(found.flyte_nodes)
    plan = remote.fetch_launch_plan(PROJECT, DOMAIN, flows.nested_subs.name, "v1")
    assert {"a"} == set(plan.flyte_workflow.interface.inputs)
    ref = _plan(flows.nested_subs.name, "v1").to_flyte_idl()
    closure = admin.GetLaunchPlan(common_pb2.ObjectGetRequest(id=ref)).closure
    assert closure.expected_inputs.parameters["a"].required
    assert {"o0"} == set(closure.expected_outputs.variables)


def test_registering_again_changes_nothing(remote: FlyteRemote) -> None:
    """Flytekit takes ALREADY_EXISTS as a success."""
    register(remote, flows.chain, "again")
    register(remote, flows.chain, "again")


@pytest.mark.parametrize("flow", [flows.choose, flows.fan, flows.unions, flows.items])
def test_shapes_register(remote: FlyteRemote, flow: Any) -> None:
    """Branches, lists, unions and attributes pass the compiler."""
    register(remote, flow, "shapes")
    remote.fetch_workflow(PROJECT, DOMAIN, flow.name, "shapes")


def test_the_newest_version_is_found_first(remote: FlyteRemote) -> None:
    """Without a version flytekit takes the newest."""
    for version in ("old", "new"):
        register(remote, flows.one, version)
    assert "new" == remote.fetch_workflow(PROJECT, DOMAIN, flows.one.name).id.version


def test_what_is_missing_is_missing(remote: FlyteRemote) -> None:
    """Flytekit gets its own exception for what isn't there."""
    with pytest.raises(
        FlyteEntityNotExistException, match="missing entity of type TASK"
    ):
        remote.fetch_task(PROJECT, DOMAIN, "unheard.of", "v1")
    with pytest.raises(FlyteEntityNotExistException):
        remote.fetch_task(PROJECT, DOMAIN, "unheard.of")


def test_a_launch_plan_is_activated_and_replaced(
    remote: FlyteRemote, client: Any
) -> None:
    """The active version of a name is one; activating another demotes it."""
    name = flows.chain.name
    for version in ("a1", "a2"):
        register(remote, flows.chain, version)
        client.update_launch_plan(_plan(name, version), 1)
    at = NamedEntityIdentifier(PROJECT, DOMAIN, name)
    assert "a2" == client.get_active_launch_plan(at).id.version
    plans, _ = client.list_active_launch_plans_paginated(PROJECT, DOMAIN)
    assert ["a2"] == [p.id.version for p in plans if p.id.name == name]
    client.update_launch_plan(_plan(name, "a2"), 0)
    with pytest.raises(FlyteEntityNotExistException, match="no active version"):
        client.get_active_launch_plan(at)


def _plan(name: str, version: str) -> Identifier:
    return Identifier(ResourceType.LAUNCH_PLAN, PROJECT, DOMAIN, name, version)


def test_default_inputs_reach_the_closure(remote: FlyteRemote, admin: Any) -> None:
    """A launch plan's closure holds defaults and leaves fixed inputs out."""
    register(remote, flows.choose, "plans")
    plan = LaunchPlan.get_or_create(
        flows.choose, "choose_plan", default_inputs={"a": 7}, fixed_inputs={"s": "x"}
    )
    remote.register_launch_plan(plan, version="plans", project=PROJECT, domain=DOMAIN)
    ref = _plan("choose_plan", "plans").to_flyte_idl()
    found = admin.GetLaunchPlan(common_pb2.ObjectGetRequest(id=ref))
    expected = found.closure.expected_inputs.parameters
    assert {"a"} == set(expected)
    assert 7 == expected["a"].default.scalar.primitive.integer
    assert launch_plan_pb2.INACTIVE == found.closure.state
    assert found.closure.created_at.seconds


def test_other_content_under_the_same_version_is_refused(admin: Any) -> None:
    """The same id with other content is INVALID_ARGUMENT, and says what differs."""
    admin.CreateTask(in_place(echo_task("t"), "changing"))
    with refused(grpc.StatusCode.ALREADY_EXISTS, "identical structure"):
        admin.CreateTask(in_place(echo_task("t"), "changing"))
    other = in_place(echo_task("t"), "changing")
    other.spec.template.type = "another-type"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "another-type"):
        admin.CreateTask(other)


def test_a_workflow_that_differs_tells_where(admin: Any) -> None:
    """Programs find Flyte's reasons, people the difference."""
    admin.CreateTask(in_place(echo_task("t"), "layer"))

    def workflow(layers: int) -> Any:
        return in_place(layers_workflow("w", "layer", layers, 1), "layers")

    admin.CreateWorkflow(workflow(2))
    with refused(grpc.StatusCode.ALREADY_EXISTS) as same:
        admin.CreateWorkflow(workflow(2))
    assert _reason(same.value).HasField("exists_identical_structure")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "different structure") as other:
        admin.CreateWorkflow(workflow(3))
    assert "+" in other.value.details()


def _reason(error: Any) -> Any:
    data = dict(error.trailing_metadata())["grpc-status-details-bin"]
    reason = workflow_pb2.CreateWorkflowFailureReason()
    assert status_pb2.Status.FromString(data).details[0].Unpack(reason)
    return reason


def test_a_large_workflow_registers(admin: Any) -> None:
    """A workflow of 1,200 nodes is compiled in a process of its own."""
    admin.CreateTask(in_place(echo_task("t"), "many"))
    request = in_place(layers_workflow("w", "many", 10, 120), "large")
    admin.CreateWorkflow(request)
    found = admin.GetWorkflow(common_pb2.ObjectGetRequest(id=request.id))
    assert 1202 == len(found.closure.compiled_workflow.primary.template.nodes)


def test_a_graph_that_is_wrong_is_refused_with_every_error(admin: Any) -> None:
    """What the compiler found comes back as text."""
    request = in_place(layers_workflow("w", "unheard-of", 1, 2), "wrong")
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "TaskReferenceNotFound"):
        admin.CreateWorkflow(request)


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("project", "", "project"),
        ("project", "unheard-of", "project 'unheard-of' to exist"),
        ("domain", "unheard-of", "a domain of development"),
        ("name", "", "name"),
        ("version", "", "version"),
        ("version", "x\0y", "NUL"),
        ("name", "n" * 600, "at most 511 bytes"),
        ("resource_type", identifier_pb2.WORKFLOW, "identifier of a TASK"),
    ],
)
def test_bad_ids_are_refused(admin: Any, field: str, value: Any, detail: str) -> None:
    """Project, domain, name, version: the error names each wrong one."""
    request = in_place(echo_task("t"), "bad")
    setattr(request.id, field, value)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, detail):
        admin.CreateTask(request)


def test_names_with_slashes_stay_apart(admin: Any) -> None:
    """a/b at c and a at b/c are two tasks."""
    for name, version in (("a/b", "c"), ("a", "b/c")):
        admin.CreateTask(in_place(echo_task("t"), name, version))


def test_an_empty_request_is_refused(admin: Any) -> None:
    """Nothing at all is INVALID_ARGUMENT, not a trace."""
    for create, request in (
        (admin.CreateTask, task_pb2.TaskCreateRequest()),
        (admin.CreateWorkflow, workflow_pb2.WorkflowCreateRequest()),
        (admin.CreateLaunchPlan, launch_plan_pb2.LaunchPlanCreateRequest()),
        (admin.UpdateLaunchPlan, launch_plan_pb2.LaunchPlanUpdateRequest()),
        (admin.RegisterProject, project_pb2.ProjectRegisterRequest()),
    ):
        with refused(grpc.StatusCode.INVALID_ARGUMENT, "Expected"):
            create(request)


def test_only_one_of_many_at_once_registers(admin: Any) -> None:
    """Racing registrations of one version: one wins, the others get an error."""

    def create(_: int) -> grpc.StatusCode:
        try:
            admin.CreateTask(in_place(echo_task("t"), "raced"))
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(create, range(16)))
    assert 1 == codes.count(grpc.StatusCode.OK)
    assert 15 == codes.count(grpc.StatusCode.ALREADY_EXISTS)


def test_racing_activations_all_end(admin: Any) -> None:
    """Versions activated at once: every call ends, and one version is active."""
    versions = [f"r{number}" for number in range(6)]
    admin.CreateTask(in_place(echo_task("t"), "racer"))
    for version in versions:
        workflow = in_place(layers_workflow("w", "racer", 1, 1), "race", version)
        admin.CreateWorkflow(workflow)
        plan = launch_plan_pb2.LaunchPlanCreateRequest(id=workflow.id)
        plan.id.resource_type = identifier_pb2.LAUNCH_PLAN
        plan.spec.workflow_id.CopyFrom(workflow.id)
        admin.CreateLaunchPlan(plan)

    def activate(version: str) -> None:
        request = launch_plan_pb2.LaunchPlanUpdateRequest(
            id=_plan("race", version).to_flyte_idl(), state=launch_plan_pb2.ACTIVE
        )
        admin.UpdateLaunchPlan(request)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(activate, versions))
    found = admin.ListActiveLaunchPlans(
        launch_plan_pb2.ActiveLaunchPlanListRequest(
            project=PROJECT, domain=DOMAIN, limit=1000
        )
    )
    assert 1 == sum(plan.id.name == "race" for plan in found.launch_plans)


def test_a_single_task_gets_a_workflow_of_its_own(
    gateway: RunningGateway, admin: Any
) -> None:
    """The workflow and launch plan around a task are made once, and hidden."""
    from gateway.registry.single_task import register_single_task

    admin.CreateTask(in_place(echo_task("t"), "alone"))
    ref = EntityRef(
        kind="TASK", project=PROJECT, domain=DOMAIN, name="alone", version="v1"
    )
    for _ in range(2):
        gateway.run(register_single_task(gateway.services, ref))
    plan = _plan(".flytegen.alone", "v1").to_flyte_idl()
    found = admin.GetLaunchPlan(common_pb2.ObjectGetRequest(id=plan))
    assert found.closure.expected_inputs.parameters["a"].required
    names = admin.ListNamedEntities(
        common_pb2.NamedEntityListRequest(
            resource_type=identifier_pb2.WORKFLOW,
            project=PROJECT,
            domain=DOMAIN,
            limit=1000,
        )
    )
    assert not [e for e in names.entities if e.id.name.startswith(".flytegen")]
    entity = admin.GetNamedEntity(
        common_pb2.NamedEntityGetRequest(
            resource_type=identifier_pb2.WORKFLOW,
            id=common_pb2.NamedEntityIdentifier(
                project=PROJECT, domain=DOMAIN, name=".flytegen.alone"
            ),
        )
    )
    assert common_pb2.SYSTEM_GENERATED == entity.metadata.state

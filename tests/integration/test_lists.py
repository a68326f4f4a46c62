"""Lists of what is registered: pages, tokens, sort keys, filters, names."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from flyteidl.admin import (
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_pb2,
    task_execution_pb2,
)
from flyteidl.core import identifier_pb2

from tests.integration.conftest import refused
from tests.support.raw import echo_task

pytestmark = pytest.mark.integration

PROJECT, DOMAIN = "flytesnacks", "staging"
VERSIONS = [f"v{number}" for number in range(5)]


@pytest.fixture(scope="module", autouse=True)
def _registered(admin: Any) -> None:
    for version in VERSIONS:
        request = echo_task("t")
        request.id.domain, request.id.name = DOMAIN, "listed"
        request.id.version = version
        admin.CreateTask(request)


def a_request(**fields: Any) -> Any:
    """Return a list request for the tasks of this module."""
    at = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="listed")
    return common_pb2.ResourceListRequest(**{"id": at, "limit": 10, **fields})


def versions(admin: Any, **fields: Any) -> list[str]:
    """Return the versions on a page."""
    return [task.id.version for task in admin.ListTasks(a_request(**fields)).tasks]


def sort(key: str, direction: int = common_pb2.Sort.ASCENDING) -> Any:
    """Return a sort order."""
    return common_pb2.Sort(key=key, direction=direction)


def test_the_newest_comes_first(admin: Any) -> None:
    """Latest versions are found by one row, sorted by time."""
    newest = sort("created_at", common_pb2.Sort.DESCENDING)
    assert ["v4"] == versions(admin, limit=1, sort_by=newest)
    assert VERSIONS == versions(admin, sort_by=sort("created_at"))


def test_pages_follow_each_other(admin: Any) -> None:
    """Tokens lead through all rows; a full last page leads to an empty one."""
    found, token = [], ""
    for size in (2, 2, 1):
        page = admin.ListTasks(a_request(limit=2, token=token, sort_by=sort("version")))
        assert size == len(page.tasks)
        found += [task.id.version for task in page.tasks]
        token = page.token
    assert (VERSIONS, "") == (found, token)
    full = admin.ListTasks(a_request(limit=5))
    assert "5" == full.token
    assert not admin.ListTasks(a_request(limit=5, token="5")).tasks


def test_filters(admin: Any) -> None:
    """A version by filter, with and without a name."""
    assert ["v3"] == versions(admin, filters="eq(version,v3)")
    assert ["v1", "v2"] == versions(
        admin, filters="value_in(version,v1;v2)+ne(name,x)", sort_by=sort("version")
    )
    nowhere = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
    assert ["v3"] == versions(admin, id=nowhere, filters="eq(version,v3)")


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": 0},
        {"token": "-1"},
        {"token": "x"},
        {"filters": "eq(version"},
        {"filters": "eq(unheard_of,x)"},
        {"filters": "like(version,x)"},
        {"filters": "eq(execution.phase,x)"},
        {"filters": "eq(version,a\0b)"},
        {"filters": "+".join(["eq(version,v1)"] * 51)},
        {"sort_by": sort("unheard_of")},
        {"sort_by": sort("version; DROP TABLE tasks")},
        {"id": common_pb2.NamedEntityIdentifier(domain=DOMAIN)},
        {"id": common_pb2.NamedEntityIdentifier(project="\0", domain=DOMAIN)},
    ],
)
def test_bad_lists_are_refused(admin: Any, fields: dict[str, Any]) -> None:
    """Limits, tokens, filters and sort keys that are invalid, each with the reason."""
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "Expected"):
        admin.ListTasks(a_request(**fields))


def test_names(admin: Any) -> None:
    """Names are listed once, whatever versions there are."""
    request = common_pb2.NamedEntityIdentifierListRequest(
        project=PROJECT, domain=DOMAIN, limit=10
    )
    found = admin.ListTaskIds(request)
    assert ["listed"] == [entity.name for entity in found.entities]
    assert not admin.ListWorkflowIds(request).entities
    assert not admin.ListLaunchPlanIds(request).entities


def test_a_name_is_described(admin: Any) -> None:
    """Description and state belong to the name."""
    at = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="listed")
    request = common_pb2.NamedEntityUpdateRequest(
        resource_type=identifier_pb2.TASK,
        id=at,
        metadata=common_pb2.NamedEntityMetadata(
            description="is listed", state=common_pb2.NAMED_ENTITY_ARCHIVED
        ),
    )
    admin.UpdateNamedEntity(request)
    admin.UpdateNamedEntity(request)
    asked_for = common_pb2.NamedEntityGetRequest(resource_type=1, id=at)
    found = admin.GetNamedEntity(asked_for)
    assert request.metadata == found.metadata
    request.metadata.description = "x" * 301
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "300"):
        admin.UpdateNamedEntity(request)
    request.id.name = "unheard-of"
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity of type TASK"):
        admin.UpdateNamedEntity(request)
    asked_for.resource_type = identifier_pb2.UNSPECIFIED
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        admin.GetNamedEntity(asked_for)


def test_lists_of_nothing_are_empty(admin: Any) -> None:
    """What isn't there has no nodes, no attempts, no executions."""
    execution = identifier_pb2.WorkflowExecutionIdentifier(
        project=PROJECT, domain=DOMAIN, name="none"
    )
    node = identifier_pb2.NodeExecutionIdentifier(node_id="n", execution_id=execution)
    nodes = node_execution_pb2.NodeExecutionListRequest(
        workflow_execution_id=execution, limit=5
    )
    attempts = task_execution_pb2.TaskExecutionListRequest(
        node_execution_id=node, limit=5
    )
    assert not admin.ListNodeExecutions(nodes).node_executions
    assert not admin.ListTaskExecutions(attempts).task_executions
    assert not admin.ListExecutions(a_request()).executions
    active = launch_plan_pb2.ActiveLaunchPlanListRequest(
        project=PROJECT, domain=DOMAIN, limit=5
    )
    assert not admin.ListActiveLaunchPlans(active).launch_plans


def test_projects(admin: Any) -> None:
    """Projects are registered once, replaced, listed, and refused where wrong."""
    request = project_pb2.ProjectRegisterRequest()
    request.project.id, request.project.name = "side-show", "Side show"
    admin.RegisterProject(request)
    with refused(grpc.StatusCode.ALREADY_EXISTS):
        admin.RegisterProject(request)
    changed = project_pb2.Project(id="side-show", name="Side", state=1)
    admin.UpdateProject(changed)
    found = admin.GetProject(project_pb2.ProjectGetRequest(id="side-show"))
    assert ("Side", 1) == (found.name, found.state)
    assert ["development", "staging", "production"] == [d.id for d in found.domains]
    listed = admin.ListProjects(project_pb2.ProjectListRequest(filters="ne(state,1)"))
    assert ["flytesnacks"] == [project.id for project in listed.projects]
    task = echo_task("t")
    task.id.project = "side-show"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "to be active"):
        admin.CreateTask(task)
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity of type PROJECT"):
        admin.UpdateProject(project_pb2.Project(id="unheard-of"))
    with refused(grpc.StatusCode.NOT_FOUND, "missing entity of type PROJECT"):
        admin.GetProject(project_pb2.ProjectGetRequest(id="unheard-of"))
    request.project.id = "Not A Label"
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "DNS label"):
        admin.RegisterProject(request)
    assert 3 == len(admin.GetDomains(project_pb2.GetDomainRequest()).domains)


def test_executions_need_a_place(admin: Any) -> None:
    """Executions of everybody, everywhere, aren't listed."""
    request = common_pb2.ResourceListRequest(limit=5)
    with refused(grpc.StatusCode.INVALID_ARGUMENT, "project and a domain"):
        admin.ListExecutions(request)
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest())

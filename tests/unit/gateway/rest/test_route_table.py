"""REST routes: read off flyteidl's annotations, found by method and path."""

from __future__ import annotations

import pytest

from gateway.rest.route_table import Match, OtherMethods, RouteTable, routes

TABLE = RouteTable(routes())


@pytest.mark.parametrize(
    ("http_method", "path", "rpc", "fields"),
    [
        (
            "GET",
            "/api/v1/executions/p/d",
            "ListExecutions",
            {"id.project": "p", "id.domain": "d"},
        ),
        (
            "DELETE",
            "/api/v1/executions/p/d/n",
            "TerminateExecution",
            {"id.project": "p", "id.domain": "d", "id.name": "n"},
        ),
        ("POST", "/api/v1/executions/relaunch", "RelaunchExecution", {}),
        (
            "GET",
            "/api/v1/tasks/p/d",
            "ListTasks",
            {"id.project": "p", "id.domain": "d"},
        ),
        (
            "GET",
            "/api/v1/node_executions/p/d/e/n0/dynamic_workflow",
            "GetDynamicNodeWorkflow",
            {
                "id.execution_id.project": "p",
                "id.execution_id.domain": "d",
                "id.execution_id.name": "e",
                "id.node_id": "n0",
            },
        ),
        ("POST", "/api/v1/dataproxy/artifact_urn", "CreateUploadLocation", {}),
    ],
)
def test_finds_the_rpc_of_a_path(
    http_method: str, path: str, rpc: str, fields: dict[str, str]
) -> None:
    """A method and a path lead to one RPC, and the path's parts to its fields."""
    match = TABLE.find(http_method, path)
    assert isinstance(match, Match)
    assert match.route.rpc == rpc
    assert match.fields == fields


def test_every_admin_rpc_has_a_route() -> None:
    """All 56 methods of AdminService are reachable over REST."""
    admin = {r.rpc for r in routes() if r.service.endswith("AdminService")}
    assert len(admin) == 56


def test_keeps_encoded_slashes_inside_a_name() -> None:
    """A name with a slash can be requested when it is percent-encoded."""
    match = TABLE.find("GET", "/api/v1/executions/p/d/a%2Fb%20c")
    assert isinstance(match, Match)
    assert match.fields["id.name"] == "a/b c"


def test_tells_other_methods_of_a_known_path() -> None:
    """A known path with a wrong method names the right ones."""
    found = TABLE.find("PATCH", "/api/v1/executions/p/d/n")
    assert found == OtherMethods(("DELETE", "GET", "PUT"))


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/nope", "/api/v1/tasks//d"])
def test_finds_nothing_elsewhere(path: str) -> None:
    """Unknown paths, and empty parts, lead nowhere."""
    assert TABLE.find("GET", path) is None

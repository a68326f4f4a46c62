"""The HTTP server over a real socket: calls, errors, health, allowed origins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from flyteidl.admin import execution_pb2, version_pb2

from gateway.rpc.server import ADMIN
from gateway.services.redrive import PATH, RedriveBody
from gateway.telemetry.health import Health
from infra.setting_sections.processes import GatewaySettings
from infra.settings import Settings
from tests.support.http_server import parts_of, serving


class Admin:
    """A servicer as gRPC would serve it."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.metadata: dict[str, str] = {}

    async def GetExecution(self, request: Any, context: Any) -> Any:
        """Return an execution, or abort as handlers do."""
        self.metadata = dict(context.invocation_metadata())
        if request.id.name == "gone":
            await context.abort(grpc.StatusCode.NOT_FOUND, "missing entity")
        if request.id.name == "defect":
            raise RuntimeError("secret detail")
        return execution_pb2.Execution(id=request.id)

    async def CreateExecution(self, request: Any, _context: Any) -> Any:
        """Record the request."""
        self.seen.append(request)
        return execution_pb2.ExecutionCreateResponse()

    async def GetVersion(self, _request: Any, _context: Any) -> Any:
        """Return a version."""
        return version_pb2.GetVersionResponse()


@pytest.fixture
def admin() -> Admin:
    """A servicer that remembers."""
    return Admin()


async def test_calls_the_grpc_handler(tmp_path: Path, admin: Admin) -> None:
    """A GET fills the request from the path, and passes metadata on."""
    async with serving(parts_of(tmp_path, {ADMIN: admin})) as client:
        headers = {"authorization": "Bearer x", "Grpc-Metadata-Who": "me"}
        reply = await client.get("/api/v1/executions/p/d/e-1", headers=headers)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["id"] == {
        "project": "p",
        "domain": "d",
        "name": "e-1",
        "org": "",
    }
    assert admin.metadata == {"authorization": "Bearer x", "who": "me"}


async def test_speaks_binary_protobuf(tmp_path: Path, admin: Admin) -> None:
    """FlyteConsole's form: bytes in, bytes out."""
    request = execution_pb2.ExecutionCreateRequest(project="p", name="n")
    headers = {"content-type": "application/octet-stream"}
    async with serving(parts_of(tmp_path, {ADMIN: admin})) as client:
        reply = await client.post(
            "/api/v1/executions", content=request.SerializeToString(), headers=headers
        )
    assert reply.headers["content-type"] == "application/octet-stream"
    execution_pb2.ExecutionCreateResponse.FromString(reply.content)
    assert admin.seen == [request]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/executions/p/d/gone", 404, 5),
        ("/api/v1/executions/p/d/defect", 500, 13),
        ("/api/v1/tasks/p/d/n/v", 501, 12),
        ("/api/v1/signals/p/d/e", 501, 12),
        ("/api/v1/executions/p/d?limit=x", 400, 3),
        ("/api/v2/anything", 404, 5),
        ("/", 404, 5),
    ],
)
async def test_tells_what_failed(
    tmp_path: Path, admin: Admin, path: str, status: int, code: int
) -> None:
    """Failures are JSON with the gRPC code, the right HTTP status, and no traces."""
    async with serving(parts_of(tmp_path, {ADMIN: admin})) as client:
        reply = await client.get(path)
    assert reply.status_code == status
    body = reply.json()
    assert body["code"] == code
    assert body["error"] == body["message"]
    assert "secret" not in reply.text


async def test_tells_allowed_methods(tmp_path: Path, admin: Admin) -> None:
    """A wrong method on a known path names the right ones."""
    async with serving(parts_of(tmp_path, {ADMIN: admin})) as client:
        reply = await client.put("/api/v1/version", content=b"{}")
    assert (reply.status_code, reply.headers["allow"]) == (405, "GET")


async def test_refuses_bodies_beyond_the_limit(tmp_path: Path, admin: Admin) -> None:
    """A body over the limit is refused before all of it is in memory."""
    limit = GatewaySettings(message_bytes_max=1000)
    settings = Settings(data_dir=tmp_path, gateway=limit)
    parts = parts_of(tmp_path, {ADMIN: admin}, settings=settings)
    async with serving(parts) as client:
        reply = await client.post("/api/v1/executions", content=b"x" * 2000)
    assert reply.status_code == 429
    assert admin.seen == []


async def test_is_healthy_once_every_part_serves(tmp_path: Path) -> None:
    """Readiness waits for every part and ends with draining."""
    health = Health(("a", "b"))
    async with serving(parts_of(tmp_path, health=health)) as client:
        first = await client.get("/healthz")
        assert (first.status_code, first.json()["waiting_for"]) == (503, ["a", "b"])
        health.serves("a")
        health.serves("b")
        assert (await client.get("/healthz")).status_code == 200
        health.draining = True
        assert (await client.get("/healthz")).status_code == 503
        assert (await client.get("/healthcheck")).status_code == 200


async def test_counts_calls(tmp_path: Path, admin: Admin) -> None:
    """Prometheus sees calls by RPC and outcome."""
    async with serving(parts_of(tmp_path, {ADMIN: admin})) as client:
        await client.get("/api/v1/version")
        metrics = (await client.get("/metrics")).text
    line = 'flightlog_rest_requests_total{code="OK",rpc="GetVersion"} 1.0'
    assert line in metrics.splitlines()


async def test_describes_itself(tmp_path: Path) -> None:
    """The OpenAPI document has every path, and no reference into the void."""
    async with serving(parts_of(tmp_path)) as client:
        found = (await client.get("/openapi.json")).json()
        assert found == (await client.get("/api/v1/openapi")).json()
    schemas = found["components"]["schemas"]
    assert "/api/v1/executions/{id.project}/{id.domain}/{id.name}" in found["paths"]
    for name in _references(found):
        assert name in schemas


def _references(found: Any) -> set[str]:
    if isinstance(found, dict):
        here = {found["$ref"].rpartition("/")[2]} if "$ref" in found else set()
        return here.union(*(_references(v) for v in found.values()))
    if isinstance(found, list):
        return set().union(*(_references(v) for v in found))
    return set()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost:30081"}, 200),
    ],
)
async def test_listens_to_pages_of_this_machine_only(
    tmp_path: Path, admin: Admin, headers: dict[str, str], status: int
) -> None:
    """A foreign page can't start anything, nor reach us under a name of its own."""
    async with serving(parts_of(tmp_path, {ADMIN: admin})) as client:
        reply = await client.post("/api/v1/executions", content=b"{}", headers=headers)
    assert reply.status_code == status
    assert len(admin.seen) == (status == 200)


async def test_dead_letters_are_redriven_for_commands(tmp_path: Path) -> None:
    """Requests reach the engine; invalid ones are refused."""
    seen: list[RedriveBody] = []

    async def redrive(body: RedriveBody) -> dict[str, list[str]]:
        seen.append(body)
        return {"redriven": ["a"], "left": [], "parked_again": []}

    async with serving(parts_of(tmp_path, redrive=redrive)) as client:
        body = {"streams": ["s"], "letters": ["a"], "principal": "me"}
        done = await client.post(PATH, json=body)
        refused = await client.post(PATH, content=b"{")
    assert done.json()["redriven"] == ["a"]
    assert seen == [RedriveBody(streams=["s"], dead_letters=["a"], principal="me")]
    assert refused.status_code == 400
    assert "Expected streams and dead letters as JSON" in refused.json()["message"]

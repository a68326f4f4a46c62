"""Deletion over HTTP: a command to the execution, and what its answer means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc

from gateway.services.errors import RpcError
from schemas.messages.commands import DeleteExecution
from tests.support.http_server import parts_of, serving

URL = "/flightlog/executions/p/d/run"


class Submitted:
    """Takes commands, and answers each with the same event, or fails."""

    def __init__(self, event: str = "", error: RpcError | None = None) -> None:
        self.event, self.error = event, error
        self.seen: list[tuple[str, Any, str]] = []

    async def __call__(
        self, stream: str, command: Any, *, actor: str, now_us: int
    ) -> str:
        self.seen.append((stream, command, actor))
        if self.error is not None:
            raise self.error
        return self.event


async def _delete(tmp_path: Path, submit: Submitted, **parameters: str) -> Any:
    async with serving(parts_of(tmp_path, submit=submit)) as client:
        return await client.delete(URL, params=parameters)


async def test_a_deletion_becomes_a_command(tmp_path: Path) -> None:
    """It names who asks; the reply says that the execution was deleted."""
    submit = Submitted(event="execution/p/d/run/9")
    reply = await _delete(tmp_path, submit, principal="ann")

    assert reply.status_code == 200
    assert reply.json() == {"execution": "p/d/run", "deleted": True}
    command = DeleteExecution(principal="ann")
    assert submit.seen == [("execution/p/d/run", command, "ann")]


async def test_deleting_again_changes_nothing(tmp_path: Path) -> None:
    """The command has no event then, which is no error."""
    reply = await _delete(tmp_path, Submitted())

    assert reply.json() == {"execution": "p/d/run", "deleted": False}


async def test_a_refusal_has_the_status_of_its_reason(tmp_path: Path) -> None:
    """As over gRPC: what still runs can't be deleted."""
    code = grpc.StatusCode.FAILED_PRECONDITION
    refused = Submitted(error=RpcError(code, "it is RUNNING"))
    reply = await _delete(tmp_path, refused)

    assert reply.status_code == 400
    assert reply.json()["message"] == "it is RUNNING"
    assert reply.json()["code"] == code.value[0]

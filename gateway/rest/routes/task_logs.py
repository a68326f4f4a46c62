"""Logs of attempts over HTTP, at the links that task executions show."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from gateway.executions.task_logs import AttemptLogs
from infra.blobs.files import Blobs
from infra.postgres.pool import Pool
from projections.queries import executions
from projections.rows import NodeRow
from schemas.ids import ExecutionRef

PATH = "/logs/{project}/{domain}/{execution}/{node}/{attempt}"


@dataclass(frozen=True, slots=True)
class LogRoutes:
    """Serves the logs of attempts as text, without a length: tasks may still write."""

    blobs: Blobs
    pool: Pool

    def router(self) -> APIRouter:
        """Return the route."""
        router = APIRouter(tags=["logs"])
        router.add_api_route(PATH, self.get, methods=["GET", "HEAD"])
        return router

    async def get(
        self, project: str, domain: str, execution: str, node: str, attempt: int
    ) -> Response:
        """Send an attempt's log as it is now."""
        ref = ExecutionRef(project=project, domain=domain, name=execution)
        row = await executions.get_node(self.pool, ref, node)
        logs = AttemptLogs(self.blobs)
        uri = await logs.find(row.input_path, attempt) if row else None
        headers = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
        if uri is None and row is not None and _has_ended(row, attempt):
            return PlainTextResponse("", headers=headers)
        if uri is None:
            wanted = f"a log of {ref.text()} {node} attempt {attempt}"
            text = f"Expected {wanted}, but none was written\n"
            return PlainTextResponse(text, status_code=HTTPStatus.NOT_FOUND)
        return StreamingResponse(
            self.blobs.stream(uri),
            media_type="text/plain; charset=utf-8",
            headers=headers,
        )


def _has_ended(node: NodeRow, attempt: int) -> bool:
    """Return whether an attempt ran and is over: it wrote nothing if it has no log."""
    if node.started_at is None or attempt < 0:
        return False
    is_last = attempt == node.attempt
    return attempt < node.attempt or (is_last and node.ended_at is not None)

"""Logs of attempts over HTTP: the links that executions show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from gateway.attempt_logs import attempt_log
from infra.database import Pool
from projections import queries
from schemas.ids import ExecutionRef

PATH = "/logs/{project}/{domain}/{execution}/{node}/{attempt}"
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class LogRoutes:
    """Serves the log text of attempts that ran on this machine."""

    root: Path
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
        row = await queries.get_node(self.pool, ref, node)
        path = attempt_log(self.root, row.input_path, attempt) if row else None
        if path is None:
            words = f"Expected a log of {ref.text()} {node} attempt {attempt}, but none"
            return PlainTextResponse(f"{words} was written\n", status_code=404)
        headers = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
        return StreamingResponse(
            _chunks(path), media_type="text/plain; charset=utf-8", headers=headers
        )


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    """Read to the end, without a length: a task may be writing meanwhile."""
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk

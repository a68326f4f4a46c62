"""A real HTTP server on a free port, with servicers and parts as a test wants them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.bootstrap.ports import bind
from gateway.rest.app import HttpParts, build_app
from gateway.rest.server import HttpServer
from gateway.telemetry.health import Health
from infra.blobs.files import FileBlobs
from infra.blobs.signing import Signer
from infra.settings import Settings
from tests.support.clocks import FixedClock

START_S = 5.0
SECRET = b"s" * 32


async def nothing_redriven(_asked: object) -> Mapping[str, Any]:
    """Put nothing back."""
    return {"redriven": [], "left": [], "parked_again": []}


def parts_of(
    folder: Path, servicers: Mapping[str, Any] | None = None, **changes: Any
) -> HttpParts:
    """Return parts on files, without a database."""
    return HttpParts(
        servicers=servicers or {},
        blobs=FileBlobs(folder / "blobs"),
        signer=Signer(SECRET, "http://127.0.0.1"),
        pool=None,  # type: ignore[arg-type]
        clock=changes.get("clock", FixedClock()),
        settings=changes.get("settings", Settings(data_dir=folder)),
        health=changes.get("health", Health()),
        redrive=changes.get("redrive", nothing_redriven),
        submit=changes.get("submit"),  # type: ignore[arg-type]
    )


@asynccontextmanager
async def serving(parts: HttpParts) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the application on a free port of this machine."""
    with bind("127.0.0.1", 0) as bound:
        server = HttpServer(build_app(parts), drain_s=1)
        task = asyncio.create_task(server.serve_on(bound))
        try:
            async with asyncio.timeout(START_S):
                while not server.started:
                    await asyncio.sleep(0.01)
            url = f"http://127.0.0.1:{bound.getsockname()[1]}"
            async with httpx.AsyncClient(base_url=url, timeout=START_S) as client:
                yield client
        finally:
            server.stop()
            await task

"""uvicorn inside the engine's own loop: its socket, its life, no signals of its own."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp


class HttpServer(uvicorn.Server):
    """Serves an application on a bound socket until it is told to stop."""

    def __init__(self, app: ASGIApp, drain_s: float) -> None:
        """Prepare; `serve_on` runs."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the engine."""
        yield

    async def serve_on(self, bound: socket.socket) -> None:
        """Serve until `stop`."""
        await self.serve(sockets=[bound])

    def stop(self) -> None:
        """Take no more calls, and end once those under way are done."""
        self.should_exit = True

"""The HTTP server: uvicorn in the engine's own event loop, on a bound socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp


class HttpServer(uvicorn.Server):
    """Serves an application until `stop`."""

    def __init__(self, app: ASGIApp, drain_s: float) -> None:
        """Configure; calls in progress have `drain_s` to end at a stop."""
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
        """Serve on a bound socket until `stop`."""
        await self.serve(sockets=[bound])

    def stop(self) -> None:
        """Accept no more calls, and end once those in progress are done."""
        self.should_exit = True

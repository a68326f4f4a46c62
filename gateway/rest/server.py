"""The HTTP server: uvicorn in the engine's own event loop, on a bound socket."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send


class HttpServer(uvicorn.Server):
    """Serves an application until `stop`.

    `app` may be replaced while it serves: a role answers for its health from the start,
    and clients once it is connected.
    """

    def __init__(self, app: ASGIApp, drain_s: float) -> None:
        """Configure; calls in progress have `drain_s` to end at a stop."""
        self.app = app
        config = uvicorn.Config(
            self._call,
            log_config=None,
            access_log=False,
            lifespan="off",
            interface="asgi3",
            server_header=False,
            timeout_graceful_shutdown=max(1, round(drain_s)),
        )
        super().__init__(config)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

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

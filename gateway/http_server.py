"""uvicorn inside the engine's own loop: its socket, its life, no signals of its own."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp


class PortTaken(Exception):  # noqa: N818 - named for what was found
    """Somebody else listens on the port."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; raises PortTaken. Port 0 takes any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise PortTaken(port_taken(host, port)) from error
    bound.setblocking(False)  # noqa: FBT003 - the library's own signature
    return bound


def port_taken(host: str, port: int) -> str:
    """Return the words for a port that is taken."""
    return f"Expected port {port} of {host} to be free, but somebody listens there"


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

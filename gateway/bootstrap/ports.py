"""Ports of this machine, bound before anything slow begins."""

from __future__ import annotations

import errno
import socket

from infra.addresses import authority, reachable
from infra.errors import PermanentError
from infra.settings import Settings


class PortInUseError(Exception):
    """Another process listens on the port."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address, of which port 0 is any free one.

    Raises PortInUseError, PermanentError if there is no such address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise _explained(error, host, port) from error
    bound.setblocking(False)  # noqa: FBT003 - the library's own signature
    return bound


def _explained(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(port_in_use(host, port))
    return PermanentError(
        f"Expected to listen on {authority(host, port)}, but: {error.strerror}"
    )


def check_free(host: str, port: int, http: socket.socket) -> None:
    """Raise PortInUseError if a port can't be bound that is bound later, by gRPC."""
    if port and port == http.getsockname()[1]:
        raise PermanentError(f"Expected two ports, but gRPC and HTTP both have {port}")
    bind(host, port).close()


def free_port(host: str) -> int:
    """Return the number of a port that is free now."""
    bound = bind(host, 0)
    with bound:
        number: int = bound.getsockname()[1]
    return number


def port_in_use(host: str, port: int) -> str:
    """Return the message for a port that is in use."""
    return f"Expected port {port} of {host} to be free, but another process uses it"


def http_url(host: str, bound: socket.socket) -> str:
    """Return the URL of a server on a bound socket, whose port may be any free one."""
    return f"http://{authority(host, bound.getsockname()[1])}"


def link_base(settings: Settings, bound: socket.socket) -> str:
    """Return what the gateway's links begin with."""
    own = f"http://{reachable(settings.host, bound.getsockname()[1])}"
    return settings.gateway.public_url or own

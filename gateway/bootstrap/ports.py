"""Ports of this machine, bound before anything slow begins."""

from __future__ import annotations

import socket


class PortInUseError(Exception):
    """Another process listens on the port."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; raises PortInUseError. Port 0 is any."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise PortInUseError(port_in_use(host, port)) from error
    bound.setblocking(False)  # noqa: FBT003 - the library's own signature
    return bound


def free_port(host: str) -> int:
    """Return the number of a port that is free now."""
    bound = bind(host, 0)
    with bound:
        number: int = bound.getsockname()[1]
    return number


def port_in_use(host: str, port: int) -> str:
    """Return the message for a port that is in use."""
    return f"Expected port {port} of {host} to be free, but another process uses it"

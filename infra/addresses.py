"""Addresses of this engine's servers, as clients on the same machine write them."""

from __future__ import annotations

_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound to them


def authority(host: str, port: int) -> str:
    """Return host and port as in a URL; an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(host: str, port: int) -> str:
    """Return host and port to connect to, where a server listens on all addresses."""
    return authority(_LOOPBACKS.get(host, host), port)

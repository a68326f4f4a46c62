"""The caller of an RPC."""

from __future__ import annotations

from gateway.services.handlers import CallContext


def actor(_context: CallContext) -> str:
    """Return the caller's name: always empty, as there is no authentication yet."""
    return ""

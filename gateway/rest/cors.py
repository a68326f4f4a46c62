"""Which pages may call from a browser: those of this machine, as nobody logs in.

Otherwise any page that the user visits could start workflows: by a plain form (without
preflight), or by a host name that resolves to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_ORIGIN = (
    r"https?://(localhost|[a-z0-9-]+\.localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address means this machine."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class LocalOnly:
    """Refuses foreign pages and host names while the server listens on loopback."""

    def __init__(self, app: ASGIApp) -> None:
        """Guard this application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        refusal = _refusal(scope) if scope["type"] == "http" else ""
        if refusal:
            body = {"error": refusal, "code": 7, "message": refusal, "details": []}
            await JSONResponse(body, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refusal(scope: Scope) -> str:
    headers = Headers(scope=scope)
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    if host and not is_loopback(host):
        return f"Expected a call to this machine by its own name, but to '{host}'"
    origin = headers.get("origin", "")
    foreign = bool(origin) and not is_loopback(urlsplit(origin).hostname or "")
    if foreign and scope["method"] not in _SAFE:
        return f"Expected a page of this machine, but it is of '{origin}'"
    return ""

"""DataProxyService: where clients put and get blobs (ref §12)."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from flyteidl.service import dataproxy_pb2, dataproxy_pb2_grpc

from gateway.errors import guarded, invalid
from gateway.services import Services
from infra.signing import Grant

_MD5_BYTES = 16
_NAME_BYTES_MAX = 255


@guarded
class DataProxy(dataproxy_pb2_grpc.DataProxyServiceServicer):  # type: ignore[misc]
    """flyteidl.service.DataProxyService."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services

    async def CreateUploadLocation(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a link to put one blob, and the blob's address."""
        if not request.project or not request.domain:
            raise invalid("Expected a project and a domain, but one is empty")
        if not request.content_md5 and not request.filename_root:
            raise invalid("Expected content_md5 or filename_root, but got neither")
        if request.content_md5 and len(request.content_md5) != _MD5_BYTES:
            found = len(request.content_md5)
            raise invalid(f"Expected an MD5 of {_MD5_BYTES} bytes, but got {found}")
        root = request.filename_root or base64.b32encode(request.content_md5).decode()
        name = request.filename or secrets.token_hex(10)
        parts = [p for p in (request.org, request.project, request.domain, root) if p]
        path = "/".join(("uploads", *(_part(p) for p in parts), _path(name)))
        uri = self.services.blobs.uri(path)
        limit = self.services.settings.gateway.signed_url_s
        asked = request.expires_in.seconds or limit
        if not 0 < asked <= limit:
            raise invalid(f"Expected expires_in up to {limit} s, but got {asked} s")
        expires = self.services.clock.now_us() + asked * 1_000_000
        md5 = base64.b64encode(request.content_md5).decode()
        grant = Grant(method="PUT", uri=uri, expires_at_us=expires, md5=md5)
        reply = dataproxy_pb2.CreateUploadLocationResponse(
            signed_url=self.services.signer.url(grant), native_url=uri
        )
        reply.expires_at.FromMicroseconds(expires)
        return reply

    async def CreateDownloadLocation(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a link to get one blob of the store."""
        root = f"{self.services.blobs.root}/"
        if not request.native_url.startswith(root) or ".." in request.native_url:
            raise invalid(f"Expected a blob of this server, but got {request.native_url}")
        limit = self.services.settings.gateway.signed_url_s
        asked = request.expires_in.seconds or limit
        expires = self.services.clock.now_us() + min(asked, limit) * 1_000_000
        grant = Grant(method="GET", uri=request.native_url, expires_at_us=expires)
        reply = dataproxy_pb2.CreateDownloadLocationResponse(
            signed_url=self.services.signer.url(grant)
        )
        reply.expires_at.FromMicroseconds(expires)
        return reply


def _part(text: str) -> str:
    """Return one part of a path; raises Refused for one that leads elsewhere."""
    if (
        "/" in text
        or text in {".", ".."}
        or not text.isprintable()
        or len(text.encode()) > _NAME_BYTES_MAX
    ):
        raise invalid(f"Expected a plain file name, but got {text[:300]!r}")
    return text


def _path(text: str) -> str:
    """Return a relative path of plain parts: a directory's files keep their places."""
    return "/".join(_part(part) for part in text.split("/") if part) or _part(text)

"""DataProxyService: where clients put and get blobs (ref §12)."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import secrets
from typing import Any

import grpc
from flyteidl.core import literals_pb2
from flyteidl.service import dataproxy_pb2, dataproxy_pb2_grpc

from gateway.executions import data as values
from gateway.executions.lookup import execution_ref, find_attempt, find_node, node_ref
from gateway.services.container import Services
from gateway.services.errors import RpcError, accepted, guarded, invalid
from gateway.translate import flyte_urls
from infra.blobs.signing import Grant
from schemas.values import Values

UPLOADS = "uploads"
_MD5_BYTES = 16
_NAME_BYTES_MAX = 255
_PATH_BYTES_MAX = 1_024
_NOTHING = Values(inline=b"")


@guarded
class DataProxy(dataproxy_pb2_grpc.DataProxyServiceServicer):  # type: ignore[misc]
    """flyteidl.service.DataProxyService."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services

    async def CreateUploadLocation(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a link to put one blob, and the blob's address."""
        uri = self.services.blobs.uri(upload_path(request))
        expires = self._expiry(request)
        if request.filename and request.filename_root:
            await self._refuse_other_content(uri, request.content_md5)
        md5 = base64.b64encode(request.content_md5).decode()
        grant = Grant(method="PUT", uri=uri, expires_at_us=expires, md5=md5)
        reply = dataproxy_pb2.CreateUploadLocationResponse(
            signed_url=self.services.links.url(grant), native_url=uri
        )
        reply.expires_at.FromMicroseconds(expires)
        return reply

    async def _refuse_other_content(self, uri: str, md5: bytes) -> None:
        """Refuse a path that the client chose if something else lies there."""
        if await self.services.blobs.size(uri) is None:
            return
        if not md5:
            detail = f"Expected {uri} to be free, but it isn't; give its content_md5"
            raise RpcError(grpc.StatusCode.ALREADY_EXISTS, detail)
        stored = hashlib.md5(usedforsecurity=False)
        async for chunk in self.services.blobs.stream(uri):
            stored.update(chunk)
        if stored.digest() != md5:
            detail = f"Expected {uri} to be free, but other content lies there"
            raise RpcError(grpc.StatusCode.ALREADY_EXISTS, detail)

    async def CreateDownloadLocation(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a link to get one blob of the store."""
        uri = request.native_url
        root = f"{self.services.blobs.root}/"
        if not uri.startswith(root) or posixpath.normpath(uri) != uri:
            raise invalid(f"Expected a blob of this server, but got '{uri[:300]}'")
        expires = self._expiry(request)
        grant = Grant(method="GET", uri=uri, expires_at_us=expires)
        reply = dataproxy_pb2.CreateDownloadLocationResponse(
            signed_url=self.services.links.url(grant)
        )
        reply.expires_at.FromMicroseconds(expires)
        return reply

    async def CreateDownloadLink(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return a link to get a node's deck."""
        if request.artifact_type != dataproxy_pb2.ARTIFACT_TYPE_DECK:
            raise invalid("Expected the artifact type DECK, but got another")
        ref, node = node_ref(request.node_execution_id)
        expires = self._expiry(request)
        try:
            row = await find_node(self.services, ref, node)
        except RpcError as refused:
            raise invalid(refused.detail) from refused
        url = await self._deck(row.deck_uri, expires)
        reply = dataproxy_pb2.CreateDownloadLinkResponse(signed_url=[url])
        reply.expires_at.FromMicroseconds(expires)
        reply.pre_signed_urls.signed_url.append(url)
        reply.pre_signed_urls.expires_at.FromMicroseconds(expires)
        return reply

    async def GetData(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Return what a flyte:// URL names: literals, one literal, or a deck's link."""
        at = accepted(flyte_urls.parse(request.flyte_url))
        ref = execution_ref(at.execution)
        reply = dataproxy_pb2.GetDataResponse()
        if at.kind == flyte_urls.DECK:
            row = await find_node(self.services, ref, at.node)
            expires = values.expiry(self.services)
            url = await self._deck(row.deck_uri, expires)
            reply.pre_signed_urls.signed_url.append(url)
            reply.pre_signed_urls.expires_at.FromMicroseconds(expires)
            return reply
        found = await self._values(at)
        limit = self.services.settings.gateway.data_bytes_max
        data = await values.load(self.services, found, limit)
        literals = literals_pb2.LiteralMap.FromString(data)
        if not at.variable:
            reply.literal_map.CopyFrom(literals)
        elif at.variable in literals.literals:
            reply.literal.CopyFrom(literals.literals[at.variable])
        else:
            known = ", ".join(sorted(literals.literals)) or "none"
            detail = f"Expected one of {known}, but got '{at.variable[:100]}'"
            raise RpcError(grpc.StatusCode.NOT_FOUND, detail)
        return reply

    async def _values(self, at: flyte_urls.FlyteUrl) -> Values:
        ref, outputs = at.execution, at.kind == flyte_urls.OUTPUTS
        if at.attempt is None:
            node = await find_node(self.services, ref, at.node)
            found = node.outputs if outputs else node.inputs
        else:
            row, node = await find_attempt(self.services, ref, at.node, at.attempt)
            found = row.outputs if outputs else node.inputs
        if found is None and outputs:
            detail = f"Expected outputs of {ref.text()}/{at.node}, but there are none"
            raise RpcError(grpc.StatusCode.NOT_FOUND, detail)
        return found or _NOTHING

    async def _deck(self, uri: str, expires_at_us: int) -> str:
        if not uri or await self.services.blobs.size(uri) is None:
            detail = "Expected the node to have a deck, but there is none"
            raise RpcError(grpc.StatusCode.NOT_FOUND, detail)
        grant = Grant(method="GET", uri=uri, expires_at_us=expires_at_us)
        return self.services.links.url(grant)

    def _expiry(self, request: Any) -> int:
        """Return when the wanted link ends, in microseconds; raises Refused."""
        limit_s = self.services.settings.gateway.signed_url_ttl_s
        wanted = request.expires_in
        us: int = wanted.seconds * values.SECOND_US + wanted.nanos // 1_000
        if not request.HasField("expires_in"):
            us = limit_s * values.SECOND_US
        if not 0 < us <= limit_s * values.SECOND_US:
            raise invalid(
                f"Expected expires_in above 0 and up to {limit_s} s, "
                f"but got {us / values.SECOND_US:g} s"
            )
        return self.services.clock.now_us() + us


def upload_path(request: Any) -> str:
    """Return where an upload goes, below the store's root; raises Refused.

    A link is for one blob: no part of the path leads elsewhere, whatever was asked.
    """
    if not request.project or not request.domain:
        raise invalid("Expected a project and a domain, but one is empty")
    md5 = request.content_md5
    if not md5 and not request.filename_root:
        raise invalid("Expected content_md5 or filename_root, but got neither")
    if md5 and len(md5) != _MD5_BYTES:
        raise invalid(f"Expected an MD5 of {_MD5_BYTES} bytes, but got {len(md5)}")
    root = request.filename_root or base64.b32encode(md5).decode()
    name = request.filename or secrets.token_hex(10)
    parts = [UPLOADS]
    if request.org:
        parts.append(_part(request.org))
    parts += (_part(request.project), _part(request.domain))
    for text in (root, name):
        # A folder's files keep their places: both may be paths.
        parts += [_part(p) for p in text.split("/") if p] or [_part(text)]
    path = "/".join(parts)
    if len(path.encode()) > _PATH_BYTES_MAX:
        raise invalid(
            f"Expected a path of up to {_PATH_BYTES_MAX} bytes, but it is longer"
        )
    return path


def _part(text: str) -> str:
    """Return one part of a path; raises Refused for one that leads elsewhere."""
    plain = text not in {"", ".", ".."} and "/" not in text and text.isprintable()
    if not plain or len(text.encode()) > _NAME_BYTES_MAX:
        raise invalid(f"Expected a plain file name, but got {text[:300]!r}")
    return text

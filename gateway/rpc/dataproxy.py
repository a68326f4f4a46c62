"""DataProxyService: links by which clients put and get blobs (ref §12)."""

from __future__ import annotations

import base64
import hashlib
import posixpath
import secrets

import grpc
from flyteidl.core import literals_pb2
from flyteidl.service import dataproxy_pb2, dataproxy_pb2_grpc

from gateway.executions.data import (
    SECOND_US,
    download_link,
    link_expiry,
    load_literals,
)
from gateway.executions.lookup import checked, find_attempt, find_node, node_ref
from gateway.services.container import Services
from gateway.services.errors import RpcError, accepted, guarded, invalid
from gateway.services.handlers import CallContext
from gateway.translate.flyte_urls import ArtifactKind, FlyteUrl, parse
from infra.blobs.signing import Grant
from schemas.values import Values

UPLOADS = "uploads"
_MD5_BYTES = 16
_NAME_BYTES_MAX = 255
_PATH_BYTES_MAX = 1_024
_NO_VALUES = Values(inline=b"")

LinkRequest = (
    dataproxy_pb2.CreateUploadLocationRequest
    | dataproxy_pb2.CreateDownloadLocationRequest
    | dataproxy_pb2.CreateDownloadLinkRequest
)


@guarded
class DataProxy(dataproxy_pb2_grpc.DataProxyServiceServicer):
    """flyteidl.service.DataProxyService."""

    def __init__(self, services: Services) -> None:
        """Serve with these adapters."""
        self.services = services

    async def CreateUploadLocation(
        self, request: dataproxy_pb2.CreateUploadLocationRequest, _context: CallContext
    ) -> dataproxy_pb2.CreateUploadLocationResponse:
        """Return a link to put one blob, and the blob's address."""
        uri = self.services.blobs.uri(upload_path(request))
        expires_at_us = self._expiry(request)
        if request.filename and request.filename_root:
            await self._refuse_other_content(uri, request.content_md5)
        md5 = base64.b64encode(request.content_md5).decode()
        grant = Grant(method="PUT", uri=uri, expires_at_us=expires_at_us, md5=md5)
        reply = dataproxy_pb2.CreateUploadLocationResponse(
            signed_url=self.services.links.url(grant), native_url=uri
        )
        reply.expires_at.FromMicroseconds(expires_at_us)
        return reply

    async def _refuse_other_content(self, uri: str, md5: bytes) -> None:
        """Refuse a path that the client chose if it holds other content."""
        if await self.services.blobs.size(uri) is None:
            return
        if not md5:
            detail = f"Expected {uri} to be free, but it isn't; give its content_md5"
            raise RpcError(grpc.StatusCode.ALREADY_EXISTS, detail)
        stored = hashlib.md5(usedforsecurity=False)
        async for chunk in self.services.blobs.stream(uri):
            stored.update(chunk)
        if stored.digest() != md5:
            detail = f"Expected {uri} to be free, but it holds other content"
            raise RpcError(grpc.StatusCode.ALREADY_EXISTS, detail)

    async def CreateDownloadLocation(
        self,
        request: dataproxy_pb2.CreateDownloadLocationRequest,
        _context: CallContext,
    ) -> dataproxy_pb2.CreateDownloadLocationResponse:
        """Return a link to get one blob of the store."""
        uri = request.native_url
        root = f"{self.services.blobs.root}/"
        if not uri.startswith(root) or posixpath.normpath(uri) != uri:
            raise invalid(f"Expected a blob of this server, but got '{uri[:300]}'")
        expires_at_us = self._expiry(request)
        reply = dataproxy_pb2.CreateDownloadLocationResponse(
            signed_url=download_link(self.services, uri, expires_at_us)
        )
        reply.expires_at.FromMicroseconds(expires_at_us)
        return reply

    async def CreateDownloadLink(
        self, request: dataproxy_pb2.CreateDownloadLinkRequest, _context: CallContext
    ) -> dataproxy_pb2.CreateDownloadLinkResponse:
        """Return a link to get a node's deck."""
        if request.artifact_type != dataproxy_pb2.ARTIFACT_TYPE_DECK:
            raise invalid("Expected the artifact type DECK, but got another")
        ref, node_id = node_ref(request.node_execution_id)
        expires_at_us = self._expiry(request)
        try:
            node = await find_node(self.services, ref, node_id)
        except RpcError as error:
            raise invalid(error.detail) from error
        urls = await self._deck_urls(node.deck_uri, expires_at_us)
        reply = dataproxy_pb2.CreateDownloadLinkResponse(
            signed_url=urls.signed_url, pre_signed_urls=urls
        )
        reply.expires_at.FromMicroseconds(expires_at_us)
        return reply

    async def GetData(
        self, request: dataproxy_pb2.GetDataRequest, _context: CallContext
    ) -> dataproxy_pb2.GetDataResponse:
        """Return what a flyte:// URL names: literals, one literal, or a deck's link."""
        url = accepted(parse(request.flyte_url))
        ref = checked(url.execution)
        if url.kind is ArtifactKind.DECK:
            node = await find_node(self.services, ref, url.node)
            urls = await self._deck_urls(node.deck_uri, link_expiry(self.services))
            return dataproxy_pb2.GetDataResponse(pre_signed_urls=urls)
        values = await self._values(url)
        limit = self.services.settings.gateway.data_bytes_max
        data = await load_literals(self.services, values, limit)
        literals = literals_pb2.LiteralMap.FromString(data)
        if url.variable is None:
            return dataproxy_pb2.GetDataResponse(literal_map=literals)
        if url.variable not in literals.literals:
            known = ", ".join(sorted(literals.literals)) or "none"
            detail = f"Expected one of {known}, but got '{url.variable[:100]}'"
            raise RpcError(grpc.StatusCode.NOT_FOUND, detail)
        literal = literals.literals[url.variable]
        return dataproxy_pb2.GetDataResponse(literal=literal)

    async def _values(self, url: FlyteUrl) -> Values:
        ref, wants_outputs = url.execution, url.kind is ArtifactKind.OUTPUTS
        if url.attempt is None:
            node = await find_node(self.services, ref, url.node)
            outputs = node.outputs
        else:
            task, node = await find_attempt(self.services, ref, url.node, url.attempt)
            outputs = task.outputs
        if wants_outputs and outputs is None:
            detail = f"Expected outputs of {ref.text()}/{url.node}, but there are none"
            raise RpcError(grpc.StatusCode.NOT_FOUND, detail)
        return (outputs if wants_outputs else node.inputs) or _NO_VALUES

    async def _deck_urls(
        self, uri: str, expires_at_us: int
    ) -> dataproxy_pb2.PreSignedURLs:
        if not uri or await self.services.blobs.size(uri) is None:
            detail = "Expected the node to have a deck, but there is none"
            raise RpcError(grpc.StatusCode.NOT_FOUND, detail)
        url = download_link(self.services, uri, expires_at_us)
        urls = dataproxy_pb2.PreSignedURLs(signed_url=[url])
        urls.expires_at.FromMicroseconds(expires_at_us)
        return urls

    def _expiry(self, request: LinkRequest) -> int:
        """Return when a requested link expires, in µs since 1970; raises RpcError."""
        limit_s = self.services.settings.gateway.signed_url_ttl_s
        if not request.HasField("expires_in"):
            return link_expiry(self.services)
        requested = request.expires_in
        us = requested.seconds * SECOND_US + requested.nanos // 1_000
        if not 0 < us <= limit_s * SECOND_US:
            raise invalid(
                f"Expected expires_in above 0 and up to {limit_s} s, "
                f"but got {us / SECOND_US:g} s"
            )
        return self.services.clock.now_us() + us


def upload_path(request: dataproxy_pb2.CreateUploadLocationRequest) -> str:
    """Return where to store an upload, below the store's root.

    Raises RpcError for a path of which any part leads elsewhere: a link is for one
    blob.
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
        # Both may be paths, so that the files of a folder stay in order.
        parts += [_part(p) for p in text.split("/") if p] or [_part(text)]
    path = "/".join(parts)
    if len(path.encode()) > _PATH_BYTES_MAX:
        raise invalid(
            f"Expected a path of up to {_PATH_BYTES_MAX} bytes, but it is longer"
        )
    return path


def _part(text: str) -> str:
    """Return one part of a path; raises RpcError for one that leads elsewhere."""
    plain = text not in {"", ".", ".."} and "/" not in text and text.isprintable()
    if not plain or len(text.encode()) > _NAME_BYTES_MAX:
        raise invalid(f"Expected a plain file name, but got {text[:300]!r}")
    return text

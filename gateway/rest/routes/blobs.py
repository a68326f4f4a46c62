"""Blobs over HTTP: PUT and GET in chunks, each by a signed link."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

import structlog
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from infra.blobs.files import (
    BlobNotFoundError,
    Blobs,
    BlobTooLargeError,
    InvalidBlobPathError,
)
from infra.blobs.signing import Grant, InvalidSignatureError, Signer
from infra.clock import Clock

log_ = structlog.get_logger(__name__)

CHUNK_BYTES = 1 << 20
_MD5_BYTES = 16


class UploadRejectedError(Exception):
    """What was sent isn't what the link or the headers describe."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        """Set the HTTP status and its text."""
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRoutes:
    """PUT and GET (with HEAD and ranges) of single blobs."""

    blobs: Blobs
    signer: Signer
    clock: Clock
    bytes_max: int

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(tags=["blobs"])
        router.add_api_route("/blobs/{token}", self.put, methods=["PUT"])
        router.add_api_route("/blobs/{token}", self.get, methods=["GET", "HEAD"])
        return router

    async def put(self, token: str, request: Request) -> Response:
        """Store a blob; 200 once all of it is stored."""
        try:
            grant = self.signer.read(token, "PUT", self.clock.now_us())
            expected = _expected(request, grant, self.bytes_max)
            chunks = _checked(request.stream(), expected)
            blob, md5 = await self.blobs.put_stream(grant.uri, chunks, self.bytes_max)
        except (InvalidSignatureError, InvalidBlobPathError) as error:
            return _refusal(HTTPStatus.FORBIDDEN, str(error))
        except BlobTooLargeError as error:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        except UploadRejectedError as error:
            return _refusal(error.status, error.detail)
        except ClientDisconnect:
            return _refusal(
                HTTPStatus.BAD_REQUEST,
                "Expected a complete body, but the client disconnected",
            )
        log_.debug("blob_stored", uri=blob.uri, size=blob.size)
        return Response(headers={"etag": f'"{md5.hex()}"'})

    async def get(self, token: str, request: Request) -> Response:
        """Send a blob, or a range of it."""
        try:
            grant = self.signer.read(token, "GET", self.clock.now_us())
            size = await self.blobs.size(grant.uri)
            if size is None:
                return _refusal(
                    HTTPStatus.NOT_FOUND,
                    "Expected a blob under this link, but it is gone",
                )
            return self._send(grant.uri, size, request)
        except (InvalidSignatureError, InvalidBlobPathError) as error:
            return _refusal(HTTPStatus.FORBIDDEN, str(error))
        except BlobNotFoundError as error:
            return _refusal(HTTPStatus.NOT_FOUND, str(error))

    def _send(self, uri: str, size: int, request: Request) -> Response:
        """Send bytes; browsers show pages that tasks wrote (decks) in a sandbox."""
        headers = {
            "accept-ranges": "bytes",
            "content-security-policy": "sandbox allow-scripts",
            "x-content-type-options": "nosniff",
        }
        is_page = uri.endswith(".html")
        if not is_page:
            headers["content-disposition"] = "attachment"
        span = byte_range(request.headers.get("range", ""), size)
        if span is None:
            headers["content-range"] = f"bytes */{size}"
            return Response(
                status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers
            )
        start, stop = span
        partial = (start, stop) != (0, size)
        if partial:
            headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["content-length"] = str(stop - start)
        status = HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        return StreamingResponse(
            _slice(self.blobs.stream(uri), start, stop),
            status_code=status,
            headers=headers,
            media_type="text/html" if is_page else "application/octet-stream",
        )


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the content of an upload must match."""

    size: int | None
    md5: bytes | None


def _expected(request: Request, grant: Grant, bytes_max: int) -> _Expected:
    length = request.headers.get("content-length")
    size = int(length) if length and length.isdigit() else None
    if size is not None and size > bytes_max:
        raise UploadRejectedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"Expected at most {bytes_max} bytes, but Content-Length is {size}",
        )
    sent = request.headers.get("content-md5", "")
    if grant.md5 and sent and sent != grant.md5:
        raise UploadRejectedError(
            HTTPStatus.BAD_REQUEST,
            f"Expected Content-MD5 {grant.md5} as signed, but got {sent}",
        )
    text = grant.md5 or sent
    return _Expected(size, _md5(text) if text else None)


def _md5(text: str) -> bytes:
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _MD5_BYTES:
        raise UploadRejectedError(
            HTTPStatus.BAD_REQUEST,
            f"Expected Content-MD5 as 16 bytes in base64, but got {text!r}",
        )
    return digest


async def _checked(
    chunks: AsyncIterator[bytes], expected: _Expected
) -> AsyncIterator[bytes]:
    """Yield the bytes in larger chunks; raises UploadRejectedError if they differ."""
    md5, size, buffer = hashlib.md5(usedforsecurity=False), 0, bytearray()
    async for chunk in chunks:
        md5.update(chunk)
        size += len(chunk)
        buffer += chunk
        if len(buffer) >= CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
    if expected.size is not None and size != expected.size:
        raise UploadRejectedError(
            HTTPStatus.BAD_REQUEST,
            f"Expected {expected.size} bytes (Content-Length), but got {size}",
        )
    if expected.md5 is not None and md5.digest() != expected.md5:
        wanted = base64.b64encode(expected.md5).decode()
        found = base64.b64encode(md5.digest()).decode()
        raise UploadRejectedError(
            HTTPStatus.BAD_REQUEST,
            f"Expected contents with Content-MD5 {wanted}, but theirs is {found}",
        )


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return start and stop of what a Range header asks for; None if out of range.

    Several ranges, other units and invalid ones mean all of it (RFC 9110 §14.2).
    """
    unit, _, text = header.partition("=")
    first, dash, last = text.strip().partition("-")
    readable = (first + last).isdigit() and dash
    if unit.strip().lower() != "bytes" or not readable:
        return 0, size
    if not first:
        count = min(int(last), size)
        return (size - count, size) if count else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    if start >= size:
        return None
    return (start, stop) if start < stop else (0, size)


async def _slice(
    chunks: AsyncIterator[bytes], start: int, stop: int
) -> AsyncIterator[bytes]:
    position = 0
    async for chunk in chunks:
        low, high = max(start - position, 0), min(stop - position, len(chunk))
        if low < high:
            yield chunk[low:high]
        position += len(chunk)
        if position >= stop:
            return


def _refusal(status: HTTPStatus, detail: str) -> Response:
    body = {"error": detail, "message": detail}
    return JSONResponse(body, status_code=status)

"""Blobs over HTTP: signed PUT and GET, in chunks; who holds no link gets nothing."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

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
    """What was sent isn't what the link or the headers promise."""

    def __init__(self, status: int, detail: str) -> None:
        """Keep the HTTP status and the words."""
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobRoutes:
    """The two routes: PUT and GET (with HEAD and ranges) of one signed blob."""

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
        """Store what is sent; 200 once it is whole and in its place."""
        try:
            grant = self.signer.read(token, "PUT", self.clock.now_us())
            expected = _expected(request, grant, self.bytes_max)
            chunks = _checked(request.stream(), expected)
            blob, md5 = await self.blobs.put_stream(grant.uri, chunks, self.bytes_max)
        except (InvalidSignatureError, InvalidBlobPathError) as error:
            return _refusal(403, str(error))
        except BlobTooLargeError as error:
            return _refusal(413, str(error))
        except UploadRejectedError as error:
            return _refusal(error.status, error.detail)
        except ClientDisconnect:
            return _refusal(400, "Expected a whole body, but the client went away")
        log_.debug("blob_stored", uri=blob.uri, size=blob.size)
        return Response(headers={"etag": f'"{md5.hex()}"'})

    async def get(self, token: str, request: Request) -> Response:
        """Send a blob, or a range of it."""
        try:
            grant = self.signer.read(token, "GET", self.clock.now_us())
            size = await self.blobs.size(grant.uri)
            if size is None:
                return _refusal(404, "Expected a blob under this link, but it is gone")
            return self._send(grant.uri, size, request)
        except (InvalidSignatureError, InvalidBlobPathError) as error:
            return _refusal(403, str(error))
        except BlobNotFoundError as error:
            return _refusal(404, str(error))

    def _send(self, uri: str, size: int, request: Request) -> Response:
        """Send bytes; a page that a task wrote (a deck) is shown, but in a sandbox."""
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
            return Response(status_code=416, headers=headers)
        start, stop = span
        partial = (start, stop) != (0, size)
        if partial:
            headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["content-length"] = str(stop - start)
        status = 206 if partial else 200
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
    """What an upload must turn out to be."""

    size: int | None
    md5: bytes | None


def _expected(request: Request, grant: Grant, bytes_max: int) -> _Expected:
    length = request.headers.get("content-length")
    size = int(length) if length and length.isdigit() else None
    if size is not None and size > bytes_max:
        raise UploadRejectedError(
            413, f"Expected at most {bytes_max} bytes, but Content-Length is {size}"
        )
    sent = request.headers.get("content-md5", "")
    if grant.md5 and sent and sent != grant.md5:
        raise UploadRejectedError(
            400, f"Expected Content-MD5 {grant.md5} as signed, but got {sent}"
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
            400, f"Expected Content-MD5 as 16 bytes in base64, but got {text!r}"
        )
    return digest


async def _checked(
    chunks: AsyncIterator[bytes], expected: _Expected
) -> AsyncIterator[bytes]:
    """Pass chunks on in larger ones; raises UploadRefused at the end if they differ."""
    md5, size, held = hashlib.md5(usedforsecurity=False), 0, bytearray()
    async for chunk in chunks:
        md5.update(chunk)
        size += len(chunk)
        held += chunk
        if len(held) >= CHUNK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
    if expected.size is not None and size != expected.size:
        raise UploadRejectedError(
            400, f"Expected {expected.size} bytes (Content-Length), but got {size}"
        )
    if expected.md5 is not None and md5.digest() != expected.md5:
        wanted = base64.b64encode(expected.md5).decode()
        found = base64.b64encode(md5.digest()).decode()
        raise UploadRejectedError(
            400, f"Expected contents with Content-MD5 {wanted}, but theirs is {found}"
        )


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """Return first and end of what a Range header asks for; None if there is none.

    Several ranges, other units and what can't be read mean the whole (RFC 9110 §14.2).
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


def _refusal(status: int, detail: str) -> Response:
    body: dict[str, Any] = {"error": detail, "message": detail}
    return JSONResponse(body, status_code=status)

"""Signed URLs of blobs: each allows one PUT or GET until it expires."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Protocol

import msgspec


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL allows: a PUT or GET of one address until it expires.

    With `md5` a PUT must have contents with this MD5 (base64, as in Content-MD5).
    """

    method: str
    uri: str
    expires_at_us: int
    md5: str = ""


class InvalidSignatureError(Exception):
    """The URL was altered, or has expired."""


class Links(Protocol):
    """Signs URLs: the server does, or the store that holds the blobs."""

    def url(self, grant: Grant) -> str:
        """Return the signed URL of a grant."""
        ...


class Signer:
    """Signs and verifies URLs of this server with its secret."""

    def __init__(self, secret: bytes, base_url: str) -> None:
        """Sign with a secret; URLs begin with the base URL."""
        self._secret = secret
        self.base_url = base_url.rstrip("/")

    def url(self, grant: Grant) -> str:
        """Return the signed URL of a grant."""
        return f"{self.base_url}/blobs/{self.token(grant)}"

    def token(self, grant: Grant) -> str:
        """Return the last part of a grant's URL."""
        body = msgspec.msgpack.encode(grant)
        return _text(self._mac(body) + body)

    def read(self, token: str, method: str, now_us: int) -> Grant:
        """Return what a URL allows, by its last part; raises InvalidSignatureError."""
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError as error:
            raise InvalidSignatureError(
                "Expected a signed URL, but it is malformed"
            ) from error
        mac, body = data[:32], data[32:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise InvalidSignatureError("Expected a signed URL, but it was altered")
        grant = msgspec.msgpack.decode(body, type=Grant)
        if grant.method != method:
            raise InvalidSignatureError(
                f"Expected a URL for {method}, but it is for {grant.method}"
            )
        if grant.expires_at_us < now_us:
            raise InvalidSignatureError("Expected a valid URL, but it has expired")
        return grant

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

"""Signed links to blobs: who holds one may put or get one blob, for a while."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Protocol

import msgspec


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a link allows: PUT or GET of one address until a time.

    `md5` binds a PUT to contents with this MD5 (base64, as in Content-MD5).
    """

    method: str
    uri: str
    expires_at_us: int
    md5: str = ""


class InvalidSignatureError(Exception):
    """The link was altered, or its time is over."""


class Links(Protocol):
    """Who makes links: this server, or the store that holds the blobs."""

    def url(self, grant: Grant) -> str:
        """Return a link for a grant."""
        ...


class Signer:
    """Makes and checks links; only this server's secret makes good ones."""

    def __init__(self, secret: bytes, base_url: str) -> None:
        """Sign with a secret; links begin with the base URL."""
        self._secret = secret
        self.base_url = base_url.rstrip("/")

    def url(self, grant: Grant) -> str:
        """Return a link for a grant."""
        return f"{self.base_url}/blobs/{self.token(grant)}"

    def token(self, grant: Grant) -> str:
        """Return the link's last part."""
        body = msgspec.msgpack.encode(grant)
        return _text(self._mac(body) + body)

    def read(self, token: str, method: str, now_us: int) -> Grant:
        """Return what a link allows; raises SignatureRefused."""
        try:
            data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError as error:
            raise InvalidSignatureError(
                "Expected a signed link, but it is damaged"
            ) from error
        mac, body = data[:32], data[32:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise InvalidSignatureError("Expected a signed link, but it was altered")
        grant = msgspec.msgpack.decode(body, type=Grant)
        if grant.method != method:
            raise InvalidSignatureError(
                f"Expected a link for {method}, but it is for {grant.method}"
            )
        if grant.expires_at_us < now_us:
            raise InvalidSignatureError("Expected a fresh link, but its time is over")
        return grant

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._secret, body, hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

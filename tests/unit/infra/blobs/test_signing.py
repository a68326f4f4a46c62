"""Signed links: what they allow, until when, and that nobody else makes them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.blobs.signing import Grant, InvalidSignatureError, Signer

SIGNER = Signer(b"secret", "http://here/")
GRANT = Grant(method="PUT", uri="/b/x", expires_at_us=100, md5="abc")


def test_a_link_says_what_it_allows() -> None:
    """A good link gives its grant back, up to its last moment."""
    assert SIGNER.url(GRANT) == f"http://here/blobs/{SIGNER.token(GRANT)}"
    assert SIGNER.read(SIGNER.token(GRANT), "PUT", 100) == GRANT


def test_a_link_ends() -> None:
    """After its time a link is refused."""
    with pytest.raises(InvalidSignatureError, match="has expired"):
        SIGNER.read(SIGNER.token(GRANT), "PUT", 101)


def test_a_link_is_for_one_method() -> None:
    """A link to put doesn't get."""
    with pytest.raises(InvalidSignatureError, match="for GET, but it is for PUT"):
        SIGNER.read(SIGNER.token(GRANT), "GET", 0)


def test_another_secret_makes_no_links() -> None:
    """A link of another server is refused."""
    with pytest.raises(InvalidSignatureError):
        Signer(b"other", "").read(SIGNER.token(GRANT), "PUT", 0)


@given(st.text() | st.binary().map(lambda b: base64.urlsafe_b64encode(b).decode()))
def test_noise_is_refused(token: str) -> None:
    """Whatever else is sent is refused in one way."""
    with pytest.raises(InvalidSignatureError):
        SIGNER.read(token, "PUT", 0)


@given(st.data())
def test_no_byte_may_change(data: st.DataObject) -> None:
    """Each byte of a link counts."""
    token = SIGNER.token(GRANT)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    changed = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    with pytest.raises(InvalidSignatureError):
        SIGNER.read(changed, "PUT", 0)

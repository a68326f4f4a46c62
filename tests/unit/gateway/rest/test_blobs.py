"""Signed uploads and downloads over a real socket: checks, limits, ranges."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.rest.routes.blobs import byte_range
from infra.blobs.signing import Grant, Signer
from infra.setting_sections.processes import GatewaySettings
from infra.settings import Settings
from tests.support.clocks import FixedClock
from tests.support.http_server import SECRET, parts_of, serving

NOW_US = FixedClock().now_us()
LATER_US = NOW_US + 60_000_000
SIGNER = Signer(SECRET, "")


def _link(
    uri: str, method: str = "PUT", md5: str = "", expires_at_us: int = LATER_US
) -> str:
    return SIGNER.url(
        Grant(method=method, uri=uri, expires_at_us=expires_at_us, md5=md5)
    )


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


async def test_keeps_what_is_uploaded(tmp_path: Path) -> None:
    """What was put under one link is got back under another, byte for byte."""
    data = bytes(range(256)) * 20_000
    uri = str(tmp_path / "blobs" / "uploads" / "a file")
    async with serving(parts_of(tmp_path)) as client:
        put = await client.put(
            _link(uri, md5=_md5(data)),
            content=data,
            headers={"content-md5": _md5(data)},
        )
        got = await client.get(_link(uri, "GET"))
        head = await client.head(_link(uri, "GET"))
    assert (put.status_code, got.status_code, head.status_code) == (200, 200, 200)
    assert got.content == data
    assert head.headers["content-length"] == str(len(data))


async def test_takes_chunks_without_a_length(tmp_path: Path) -> None:
    """A streamed body of unknown length is kept as well."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 50_000

    uri = str(tmp_path / "blobs" / "streamed")
    async with serving(parts_of(tmp_path)) as client:
        assert (await client.put(_link(uri), content=chunks())).status_code == 200
    assert Path(uri).stat().st_size == 2_500_000


@pytest.mark.parametrize(
    ("signed", "sent", "detail"),
    [
        (_md5(b"other"), "", "Expected contents with Content-MD5"),
        ("", _md5(b"other"), "Expected contents with Content-MD5"),
        (_md5(b"data"), _md5(b"other"), "as signed"),
        ("", "nonsense", "16 bytes in base64"),
    ],
)
async def test_refuses_other_contents(
    tmp_path: Path, signed: str, sent: str, detail: str
) -> None:
    """Contents that don't have the MD5 promised are refused, and not kept."""
    uri = str(tmp_path / "blobs" / "x")
    headers = {"content-md5": sent} if sent else {}
    async with serving(parts_of(tmp_path)) as client:
        reply = await client.put(
            _link(uri, md5=signed), content=b"data", headers=headers
        )
    assert reply.status_code == 400
    assert detail in reply.json()["message"]
    assert not [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]


async def test_refuses_links_that_are_not_good(tmp_path: Path) -> None:
    """Altered, expired, foreign and wrong-method links are refused with the reason."""
    uri = str(tmp_path / "blobs" / "x")
    good = _link(uri)
    foreign = Signer(b"other" * 8, "").url(
        Grant(method="PUT", uri=uri, expires_at_us=LATER_US)
    )
    links = {
        good[:-4] + "AAAA": "altered",
        foreign: "altered",
        "/blobs/short": "malformed",
        "/blobs/!": "",
        _link(uri, expires_at_us=NOW_US - 1): "has expired",
        _link(uri, "GET"): "it is for GET",
    }
    async with serving(parts_of(tmp_path)) as client:
        for link, detail in links.items():
            reply = await client.put(link, content=b"x")
            assert reply.status_code == 403, link
            assert detail in reply.json()["message"]


async def test_refuses_paths_out_of_the_store(tmp_path: Path) -> None:
    """Not even a signed link writes outside the store."""
    async with serving(parts_of(tmp_path)) as client:
        for uri in (f"{tmp_path}/blobs/../evil", "/etc/evil", f"{tmp_path}/blobs"):
            reply = await client.put(_link(uri), content=b"x")
            assert reply.status_code == 403
    assert not (tmp_path / "evil").exists()


async def test_refuses_uploads_beyond_the_limit(tmp_path: Path) -> None:
    """By its length before it is read, and by its bytes where there is no length."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 1000

    settings = Settings(
        data_dir=tmp_path, gateway=GatewaySettings(upload_bytes_max=4000)
    )
    uri = str(tmp_path / "blobs" / "x")
    async with serving(parts_of(tmp_path, settings=settings)) as client:
        for content in (b"x" * 5000, chunks()):
            reply = await client.put(_link(uri), content=content)
            assert reply.status_code == 413
    assert not [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]


async def test_tells_that_a_blob_is_gone(tmp_path: Path) -> None:
    """A good link to nothing is 404."""
    async with serving(parts_of(tmp_path)) as client:
        reply = await client.get(_link(str(tmp_path / "blobs" / "x"), "GET"))
    assert reply.status_code == 404


async def test_sends_ranges(tmp_path: Path) -> None:
    """A part of a blob can be requested; one beyond its end can't."""
    data = b"0123456789"
    uri = str(tmp_path / "blobs" / "x")
    async with serving(parts_of(tmp_path)) as client:
        await client.put(_link(uri), content=data)
        link = _link(uri, "GET")
        part = await client.get(link, headers={"range": "bytes=2-4"})
        beyond = await client.get(link, headers={"range": "bytes=10-"})
    assert (part.status_code, part.content) == (206, b"234")
    assert part.headers["content-range"] == "bytes 2-4/10"
    assert beyond.status_code == 416


async def test_keeps_pages_of_tasks_in_a_sandbox(tmp_path: Path) -> None:
    """A deck is shown, but its scripts can't call the API as pages of this server."""
    uri = str(tmp_path / "blobs" / "deck.html")
    async with serving(parts_of(tmp_path)) as client:
        await client.put(_link(uri), content=b"<html>")
        deck = await client.get(_link(uri, "GET"))
    assert deck.headers["content-type"].startswith("text/html")
    assert "sandbox" in deck.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", (0, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=3-5", (3, 6)),
        ("bytes=-4", (6, 10)),
        ("bytes=-40", (0, 10)),
        ("bytes=5-99", (5, 10)),
        ("bytes=10-", None),
        ("bytes=-0", None),
        ("bytes=5-3", (0, 10)),
        ("bytes=0-1,3-4", (0, 10)),
        ("lines=0-1", (0, 10)),
        ("bytes=", (0, 10)),
    ],
)
def test_reads_range_headers(header: str, expected: tuple[int, int] | None) -> None:
    """Ranges as RFC 9110 has them; invalid ones mean the entire blob."""
    assert byte_range(header, 10) == expected

"""The blob store that the settings name, and what signs the URLs of its blobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.blobs.files import FileBlobs
from infra.blobs.s3 import S3Blobs, S3Links
from infra.blobs.signing import Signer
from infra.blobs.store import links, open_blobs
from infra.errors import PermanentError
from infra.setting_sections.storage import S3Settings
from infra.settings import Settings

S3 = S3Settings(endpoint="http://127.0.0.1:1", access_key="k", secret_key="s")


async def _root(folder: Path, **settings: Any) -> str:
    async with open_blobs(Settings(**settings), folder) as blobs:
        assert isinstance(blobs, FileBlobs)
        return str(blobs.root)


async def test_blobs_are_files_in_the_engines_folder(tmp_path: Path) -> None:
    """Unless the settings name another one, which may be below the user's home."""
    assert await _root(tmp_path) == str(tmp_path)
    other = str(tmp_path / "other")
    assert await _root(tmp_path, blobs=other) == other
    assert await _root(tmp_path, blobs="~/b") == str(Path("~/b").expanduser())


@pytest.mark.parametrize("endpoint", ["minio:9000", "ftp://host", ""])
async def test_an_s3_needs_the_address_of_a_server(
    tmp_path: Path, endpoint: str
) -> None:
    """A wrong endpoint is reported at once: it would never be reached."""
    s3 = S3Settings(endpoint=endpoint)
    with pytest.raises(PermanentError, match="Expected an http"):
        async with open_blobs(Settings(blobs="s3://b", s3=s3), tmp_path):
            pass


async def test_urls_are_signed_by_the_server_of_the_blobs(tmp_path: Path) -> None:
    """S3 serves its own blobs, the gateway those in files."""
    settings, signer = Settings(s3=S3), Signer(b"secret", "http://gateway")
    stored = S3Blobs("s3://b/prefix", S3)

    found = links(settings, FileBlobs(tmp_path), signer, lambda: 0)
    assert found is signer
    assert isinstance(links(settings, stored, signer, lambda: 0), S3Links)
    await stored.close()

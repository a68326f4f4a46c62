"""Blobs on plain files: written atomically, and only below their root."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.blobs.files import (
    CHUNK_BYTES,
    PARTS,
    BlobNotFoundError,
    BlobTooLargeError,
    FileBlobs,
    InvalidBlobPathError,
)


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    """Return an empty store."""
    return FileBlobs(tmp_path / "blobs")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """Return parts as they come over the wire."""
    for part in parts:
        yield part


def files(blobs: FileBlobs) -> list[str]:
    """Return the names of all files in a store."""
    return sorted(p.name for p in Path(blobs.root).rglob("*") if p.is_file())


@pytest.mark.parametrize("size", [0, 5, CHUNK_BYTES + 1])
async def test_what_was_put_is_got(blobs: FileBlobs, size: int) -> None:
    """A blob comes back as it was, with its digest and size."""
    data = b"x" * size
    blob = await blobs.put(blobs.uri("a/b/c.pb"), data)
    assert blob.uri == f"{blobs.root}/a/b/c.pb"
    assert blob.digest == hashlib.sha256(data).hexdigest()
    assert await blobs.get(blob.uri) == data
    assert await blobs.size(blob.uri) == blob.size == size
    assert b"".join([part async for part in blobs.stream(blob.uri)]) == data
    assert files(blobs) == ["c.pb"]


async def test_a_folder_may_go_while_a_blob_is_stored(
    blobs: FileBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has deleted the last blob in it removes it, and another stores one there."""
    folder, replace, left = Path(blobs.root) / "a", Path.replace, [1]

    def replace_late(part: Path, target: Path) -> Path:
        if left:
            left.pop()
            folder.rmdir()
        return replace(part, target)

    monkeypatch.setattr(Path, "replace", replace_late)
    await blobs.put(blobs.uri("a/b"), b"x")

    assert files(blobs) == ["b"]


async def test_streams_are_stored_whole(blobs: FileBlobs) -> None:
    """A stream is stored with its MD5; one that is cut leaves nothing."""
    uri = blobs.uri("up/x")
    blob, md5 = await blobs.put_stream(uri, chunks(b"ab", b"c"), 3)
    assert md5 == hashlib.md5(b"abc").digest()
    assert (blob.size, await blobs.get(uri)) == (3, b"abc")

    async def broken() -> AsyncIterator[bytes]:
        yield b"new"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await blobs.put_stream(uri, broken(), 10)
    with pytest.raises(BlobTooLargeError):
        await blobs.put_stream(uri, chunks(b"toolong"), 3)
    assert await blobs.get(uri) == b"abc"
    assert files(blobs) == ["x"]


@pytest.mark.parametrize(
    "uri",
    ["/etc/passwd", "../up", "a/../../up", "", "a\0b", "s3://bucket/key", "relative/x"],
)
async def test_paths_out_of_the_store_are_refused(blobs: FileBlobs, uri: str) -> None:
    """Nothing is written or deleted but below the root."""
    target = uri if uri.startswith(("/", "s3:", "rel")) else f"{blobs.root}/{uri}"
    with pytest.raises(InvalidBlobPathError):
        await blobs.put(target, b"")
    with pytest.raises(InvalidBlobPathError):
        await blobs.put_stream(target, chunks(b""), 1)
    with pytest.raises(InvalidBlobPathError):
        await blobs.delete(target)


@pytest.mark.parametrize("uri", ["x", "s3://bucket/key", "/nowhere/x\0", "/etc"])
async def test_what_is_no_blob_is_not_found(blobs: FileBlobs, uri: str) -> None:
    """Folders, other stores and odd addresses hold no blobs."""
    assert await blobs.size(uri) is None
    with pytest.raises(BlobNotFoundError):
        await blobs.get(uri)
    with pytest.raises(BlobNotFoundError):
        _ = [part async for part in blobs.stream(uri)]


async def test_what_was_never_finished_is_dropped(blobs: FileBlobs) -> None:
    """A killed writer's file goes once it is old; blobs and young ones stay."""
    blob = await blobs.put(blobs.uri("x"), b"abc")
    parts = Path(blobs.root) / PARTS
    old, young = parts / "old", parts / "young"
    for part in (old, young):
        part.write_bytes(b"half")
    os.utime(old, (1, 1))

    assert await blobs.delete_unfinished(1000.0) == 1
    assert (old.exists(), young.exists()) == (False, True)
    assert await blobs.get(blob.uri) == b"abc"


async def test_limits_hold(blobs: FileBlobs) -> None:
    """A blob larger than what may be read is refused."""
    blob = await blobs.put(blobs.uri("x"), b"abc")
    assert await blobs.get(blob.uri, 3) == b"abc"
    with pytest.raises(BlobTooLargeError):
        await blobs.get(blob.uri, 2)


async def test_deleting_twice_is_fine(blobs: FileBlobs) -> None:
    """A deleted blob is gone; deleting it again changes nothing."""
    blob = await blobs.put(blobs.uri("x"), b"abc")
    await blobs.delete(blob.uri)
    await blobs.delete(blob.uri)
    assert await blobs.size(blob.uri) is None


def test_whole_addresses_pass(blobs: FileBlobs) -> None:
    """Relative paths lie below the root; absolute and schemed ones are kept."""
    assert blobs.uri("a/b") == f"{blobs.root}/a/b"
    assert blobs.uri("/a") == "/a"
    assert blobs.uri("s3://b/k") == "s3://b/k"

"""The contract of a blob store, on plain files and on a real S3."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from flytekit.configuration import S3Config
from flytekit.core.data_persistence import FileAccessProvider

from infra.blobs.addresses import task_variables
from infra.blobs.files import (
    BlobNotFoundError,
    Blobs,
    BlobTooLargeError,
    FileBlobs,
    InvalidBlobPathError,
)
from infra.blobs.s3 import S3Blobs, S3Links
from infra.blobs.signing import Grant
from infra.clock import SystemClock
from infra.errors import PermanentError, TransientError
from infra.setting_sections.storage import S3Settings
from tests.support.components.minio import Minio, s3

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """One S3 for all tests."""
    with s3(tmp_path_factory.mktemp("minio") / "data") as settings:
        yield settings


def bucket() -> str:
    """Return the address of a folder in a new bucket."""
    return f"s3://flightlog-{secrets.token_hex(6)}/some/prefix"


@pytest.fixture(params=["files", "s3"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Blobs]:
    """Each kind of store, empty."""
    if request.param == "files":
        yield FileBlobs(tmp_path / "blobs")
        return
    store = S3Blobs(bucket(), request.getfixturevalue("server"))
    await store.open()
    yield store
    await store.close()


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    """Yield chunks."""
    for chunk in chunks:
        yield chunk


async def streamed(blobs: Blobs, uri: str, start: int = 0) -> bytes:
    """Return a blob's bytes as streamed."""
    return b"".join([chunk async for chunk in blobs.stream(uri, start)])


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
async def test_what_was_put_is_got(blobs: Blobs, size: int) -> None:
    """Bytes, size and digest are returned, at once and as a stream from any offset."""
    data, uri = secrets.token_bytes(size), blobs.uri("a/b.bin")
    blob = await blobs.put(uri, data)
    assert blob.digest == hashlib.sha256(data).hexdigest()
    assert (blob.uri, blob.size) == (uri, size)
    assert await blobs.get(uri) == data
    assert await blobs.size(uri) == size
    if size:
        assert await streamed(blobs, uri) == data
        assert await streamed(blobs, uri, size - 1) == data[-1:]


async def test_a_stream_is_stored_whole_or_not_at_all(blobs: Blobs) -> None:
    """A stream above the limit leaves nothing; one below it all of it."""
    uri, big = blobs.uri("stream"), secrets.token_bytes(3_000_000)
    with pytest.raises(BlobTooLargeError):
        await blobs.put_stream(uri, parts(big, big), limit=len(big))
    assert await blobs.size(uri) is None
    blob, md5 = await blobs.put_stream(uri, parts(big, big), limit=2 * len(big))
    assert md5 == hashlib.md5(big + big, usedforsecurity=False).digest()
    assert blob.size == 2 * len(big)
    assert await blobs.get(uri) == big + big


async def test_what_is_missing_or_too_large_is_told(blobs: Blobs) -> None:
    """Errors say which blob, and why."""
    uri = blobs.uri("none")
    with pytest.raises(BlobNotFoundError, match="none"):
        await blobs.get(uri)
    with pytest.raises(BlobNotFoundError):
        await streamed(blobs, uri)
    assert await blobs.size(uri) is None
    await blobs.delete(uri)
    await blobs.put(uri, b"12345")
    with pytest.raises(BlobTooLargeError):
        await blobs.get(uri, limit=4)
    await blobs.delete(uri)
    assert await blobs.size(uri) is None


async def test_nothing_is_written_elsewhere(blobs: Blobs) -> None:
    """Addresses that lead out of the store are refused."""
    for uri in (
        f"{blobs.root}/../out",
        "/etc/flightlog",
        "s3://other/key",
        f"{blobs.root}-not/this",
    ):
        with pytest.raises(InvalidBlobPathError):
            await blobs.put(uri, b"x")


async def test_folders_are_listed(blobs: Blobs) -> None:
    """What is below a folder is found, and nothing beside it."""
    for name in ("f/1/log.txt", "f/2/log.txt", "f2/log.txt"):
        await blobs.put(blobs.uri(name), b"hello")
    found = sorted(found.uri for found in await blobs.list(blobs.uri("f")))
    assert found == [blobs.uri("f/1/log.txt"), blobs.uri("f/2/log.txt")]
    assert await blobs.list(blobs.uri("nothing")) == []


async def test_blobs_are_listed_by_the_beginning_of_their_path(blobs: Blobs) -> None:
    """Of names in the folder, and of folders in it."""
    for path in ("n1.log", "n10.log", "n1.run/own.log", "n2.log", "n2.run/n1.log"):
        await blobs.put(blobs.uri(f"begun/{path}"), b"x")
    found = await blobs.list(blobs.uri("begun"), "n1")

    names = {blob.uri.rpartition("begun/")[2] for blob in found}
    assert names == {"n1.log", "n10.log", "n1.run/own.log"}


async def test_folders_are_deleted(blobs: Blobs) -> None:
    """Everything below a folder goes, its neighbours stay, and again is fine."""
    for name in ("a/1", "a/b/2", "ab/3"):
        await blobs.put(blobs.uri(f"away/{name}"), b"x")
    for _ in range(2):
        await blobs.delete_prefix(blobs.uri("away/a"))
    left = await blobs.list(blobs.uri("away"))

    assert [found.uri for found in left] == [blobs.uri("away/ab/3")]
    with pytest.raises(InvalidBlobPathError):
        await blobs.delete_prefix("/etc/away")


async def test_a_blob_is_had_as_a_file(blobs: Blobs, tmp_path: Path) -> None:
    """A file with the blob's bytes, for programs that need one."""
    uri = blobs.uri("bundle.tar.gz")
    await blobs.put(uri, b"packed")
    assert (await blobs.local_copy(uri, tmp_path / "copies")).read_bytes() == b"packed"
    with pytest.raises(BlobNotFoundError):
        await blobs.local_copy(blobs.uri("none"), tmp_path / "copies")


async def test_copies_made_at_once_are_whole(blobs: Blobs, tmp_path: Path) -> None:
    """No copy takes away the file of another one, which is read already."""
    uri, data = blobs.uri("bundle.tar.gz"), b"packed" * 1000
    await blobs.put(uri, data)

    async def read(folder: Path) -> bytes:
        path = await blobs.local_copy(uri, folder)
        return path.read_bytes()

    for number in range(5):
        folder = tmp_path / f"{number}"
        found = await asyncio.gather(*(read(folder) for _ in range(8)))
        assert found == [data] * 8


async def test_s3_serves_its_own_links(server: S3Settings) -> None:
    """A signed link puts a blob, checked by MD5, and gets it; others are refused."""
    blobs, clock = S3Blobs(bucket(), server), SystemClock()
    await blobs.open()
    links = S3Links(server, clock.now_us, blobs.root)
    data, uri = b"a bundle", blobs.uri("up/bundle")
    until = clock.now_us() + 60_000_000
    put = links.url(Grant(method="PUT", uri=uri, expires_at_us=until))
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    for sent, status in ((b"other...", 400), (data, 200)):
        request = urllib.request.Request(put, data=sent, method="PUT")
        request.add_header("Content-MD5", base64.b64encode(md5).decode())
        assert status_of(request) == status
    get = links.url(Grant(method="GET", uri=uri, expires_at_us=until))
    with urllib.request.urlopen(get, timeout=10) as reply:  # noqa: ASYNC210 - alone
        assert reply.read() == data
    assert status_of(urllib.request.Request(get.replace("bundle", "other"))) == 403
    await blobs.close()


def status_of(request: urllib.request.Request) -> int:
    """Return the status of a call, refused ones too."""
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


async def test_tasks_reach_the_same_s3(
    server: S3Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flytekit's own file access reads and writes, by the variables of tasks."""
    blobs = S3Blobs(bucket(), server)
    await blobs.open()
    for name, value in task_variables(server).items():
        monkeypatch.setenv(name, value)
    access = FileAccessProvider(str(tmp_path / "sandbox"), blobs.uri("raw"))
    assert S3Config.auto().endpoint == server.endpoint
    (tmp_path / "in.txt").write_text("from a task")
    uri = access.put_raw_data(str(tmp_path / "in.txt"))
    assert await blobs.get(uri) == b"from a task"
    await blobs.close()


async def test_an_s3_that_refuses_or_is_unreachable_is_reported(
    server: S3Settings, tmp_path: Path
) -> None:
    """Wrong keys are a permanent error; an unreachable server is a transient one."""
    wrong = server.model_copy(update={"secret_key": "wrong", "retries": 0})
    blobs = S3Blobs(bucket(), wrong)
    with pytest.raises(PermanentError, match="SignatureDoesNotMatch"):
        await blobs.put(blobs.uri("x"), b"x")
    await blobs.close()
    gone = Minio(tmp_path / "gone").settings.model_copy(update={"retries": 0})
    blobs = S3Blobs(bucket(), gone)
    with pytest.raises(TransientError, match="Cannot reach S3"):
        await blobs.get(blobs.uri("x"))
    await blobs.close()

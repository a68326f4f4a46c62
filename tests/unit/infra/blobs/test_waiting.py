"""A blob store that is waited for: calls are repeated while it is away."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from infra.blobs.files import BlobNotFoundError, FileBlobs, disk_errors_are_transient
from infra.blobs.waiting import WaitingBlobs
from infra.clock import SystemClock
from infra.errors import Dependency, TransientError
from schemas.values import Blob


class Full(FileBlobs):
    """A disk that is full for some writes."""

    left = 2

    async def put(self, uri: str, data: bytes) -> Blob:
        """Fail while it is full."""
        with disk_errors_are_transient():
            if self.left:
                self.left -= 1
                raise OSError(errno.ENOSPC, "No space left on device")
        return await super().put(uri, data)


class _Hasty(SystemClock):
    async def sleep(self, delay_s: float) -> None:
        """Return at once."""


async def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """The write is done once there is room; what isn't there isn't waited for."""
    blobs = WaitingBlobs(Full(tmp_path), _Hasty())
    uri = blobs.uri("a/b")
    stored = await blobs.put(uri, b"x")

    assert stored.uri == uri
    assert await blobs.get(uri) == b"x"
    assert await blobs.size(uri) == 1
    assert [found.uri for found in await blobs.list(blobs.uri("a"))] == [uri]
    assert await blobs.local_copy(uri, tmp_path) == Path(uri)
    await blobs.delete(uri)
    await blobs.delete_prefix(blobs.uri("a"))
    assert await blobs.delete_unfinished(0.0) == 0
    with pytest.raises(BlobNotFoundError):
        await blobs.get(uri)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_errors_of_the_disk_are_transient(number: int) -> None:
    """They are no word on this one file."""
    with pytest.raises(TransientError) as raised, disk_errors_are_transient():
        raise OSError(number, "it is")
    assert raised.value.of is Dependency.DISK


def test_errors_of_a_file_are_not() -> None:
    """Waiting doesn't help against them."""
    with pytest.raises(PermissionError), disk_errors_are_transient():
        raise PermissionError(errno.EACCES, "no")

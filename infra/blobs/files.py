"""The contract of blob stores, and the store on plain files."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import NamedTemporaryFile
from typing import IO, Protocol

import msgspec

from infra.errors import Dependency, InfraError, TransientError
from schemas.values import Blob

CHUNK_BYTES = 1 << 20
READ_BYTES_MAX = 1 << 30
"""Of a blob that is read as a whole by someone who has no limit of his own."""
PARTS = ".parts"
"""The folder of blobs being written, which are renamed once they are complete."""
_FOLDER_TRIES = 5
"""How often a folder is created for a file; runs that end there may remove it."""


_DISK_ERRORS = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""Errors of the disk, or of this machine's limits, not of one file."""


class BlobNotFoundError(InfraError):
    """There is no blob at this address."""


class BlobTooLargeError(InfraError):
    """The blob is larger than the limit."""


class InvalidBlobPathError(InfraError):
    """The address is outside the store."""


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A blob as listed: its address, its bytes, when it was written (s since 1970)."""

    uri: str
    size: int
    modified_s: float


class Blobs(Protocol):
    """A store of immutable objects, each at an address."""

    root: str

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; addresses are returned as is."""
        ...

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob, all of it or nothing."""
        ...

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLargeError."""
        ...

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFoundError, BlobTooLargeError.

        Without a `limit` it is READ_BYTES_MAX: a blob must not fill the memory.
        """
        ...

    def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Yield a blob's bytes from an offset, in chunks; raises BlobNotFoundError."""
        ...

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        ...

    async def list(self, prefix: str, beginning: str = "") -> list[BlobInfo]:
        """Return the blobs below a folder of the store; raises InvalidBlobPathError.

        With a beginning, only those whose path below the folder has it.
        """
        ...

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return a file with the blob's bytes: its own, or a copy in a folder."""
        ...

    async def delete(self, uri: str) -> None:
        """Delete a blob, if there is one."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Delete all blobs below a folder; raises InvalidBlobPathError."""
        ...

    async def delete_unfinished(self, before_s: float) -> int:
        """Delete writes that began before a time (s since 1970) and never ended."""
        ...


class FileBlobs:
    """Blobs as files below one folder; their addresses are absolute paths.

    Writes are atomic. Tasks write files below the folder directly: these are blobs,
    too. Any absolute path can be read, as inputs may name files of the user.
    """

    def __init__(self, root: Path) -> None:
        """Store blobs below this folder."""
        self._root = root.resolve()
        self._root.mkdir(parents=True, exist_ok=True)
        self.root = str(self._root)

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; addresses are returned as is."""
        if relative.startswith("/") or "://" in relative:
            return relative
        return f"{self.root}/{relative}"

    def path(self, uri: str) -> Path:
        """Return the file of an address in the store; raises InvalidBlobPathError."""
        path = Path(os.path.normpath(uri.removeprefix("file://")))
        is_below = path.is_relative_to(self._root) and path != self._root
        if not is_below or "\0" in uri:
            message = f"Expected an address below {self.root}, but got {uri!r}"
            raise InvalidBlobPathError(message)
        return path

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob, all of it or nothing."""
        path = self.path(uri)
        with disk_errors_are_transient():
            if len(data) > CHUNK_BYTES:
                await asyncio.to_thread(_write, path, data, self._parts())
            else:
                _write(path, data, self._parts())
        digest = hashlib.sha256(data).hexdigest()
        return Blob(uri=str(path), digest=digest, size=len(data))

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLargeError."""
        path = self.path(uri)
        with (
            disk_errors_are_transient(),
            NamedTemporaryFile(dir=self._parts(), delete=False) as part,
        ):
            try:
                stored = await write_chunks(str(path), chunks, part, limit)
                _publish(part, path)
            except BaseException:
                _discard(part)
                raise
        return stored

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFoundError, BlobTooLargeError."""
        path, size = _found(uri)
        limit = READ_BYTES_MAX if limit is None else limit
        if size > limit:
            message = f"Expected at most {limit} bytes at {uri}, but there are {size}"
            raise BlobTooLargeError(message)
        with disk_errors_are_transient():
            if size > CHUNK_BYTES:
                return await asyncio.to_thread(path.read_bytes)
            return path.read_bytes()

    async def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Yield a blob's bytes from an offset, in chunks; raises BlobNotFoundError."""
        path, _ = _found(uri)
        with path.open("rb") as file:
            file.seek(start)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        return _size(Path(uri.removeprefix("file://")))

    async def list(self, prefix: str, beginning: str = "") -> list[BlobInfo]:
        """Return the blobs below a folder of the store; raises InvalidBlobPathError."""
        return await asyncio.to_thread(_listed, self.path(prefix), beginning)

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return the blob's own file; raises BlobNotFoundError."""
        del folder
        return _found(uri)[0]

    async def delete(self, uri: str) -> None:
        """Delete a blob, if there is one."""
        self.path(uri).unlink(missing_ok=True)

    async def delete_prefix(self, prefix: str) -> None:
        """Delete all blobs below a folder; raises InvalidBlobPathError."""
        folder = self.path(prefix)
        with suppress(FileNotFoundError), disk_errors_are_transient():
            await asyncio.to_thread(shutil.rmtree, folder)

    async def delete_unfinished(self, before_s: float) -> int:
        """Delete writes that began before a time (s since 1970) and never ended."""
        parts = await asyncio.to_thread(_listed, self._parts())
        stale = [part for part in parts if part.modified_s < before_s]
        for part in stale:
            Path(part.uri).unlink(missing_ok=True)
        return len(stale)

    def _parts(self) -> Path:
        """Return the folder of unfinished blobs, which aren't listed."""
        folder = self._root / PARTS
        folder.mkdir(exist_ok=True)
        return folder


def in_folder(path: Path, create: Callable[[], object]) -> None:
    """Create a file in its folder, which others remove whenever it is empty."""
    for left in reversed(range(_FOLDER_TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            create()
        except FileNotFoundError:
            if not left:
                raise
        else:
            return


def is_disk_error(error: Exception) -> bool:
    """Return whether the disk is full, can't be written or fails."""
    return isinstance(error, OSError) and error.errno in _DISK_ERRORS


@contextmanager
def disk_errors_are_transient() -> Iterator[None]:
    """Raise TransientError if the disk is full, can't be written or fails."""
    try:
        yield
    except OSError as error:
        if not is_disk_error(error):
            raise
        message = f"Cannot use the disk: {error}"
        raise TransientError(message, of=Dependency.DISK) from error


def is_within(uri: str, root: str) -> bool:
    """Return whether an address is below a root, and has no `.` or `..` in it."""
    if not uri.startswith(f"{root}/") or "\0" in uri:
        return False
    parts = uri.removeprefix(f"{root}/").split("/")
    return all(part not in {"", ".", ".."} for part in parts)


async def write_chunks(
    uri: str, chunks: AsyncIterable[bytes], part: IO[bytes], limit: int
) -> tuple[Blob, bytes]:
    """Write chunks to a file; return them as a blob, and their MD5.

    Raises BlobTooLargeError once there are more bytes than the limit.
    """
    sha, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise BlobTooLargeError(f"Expected at most {limit} bytes, but got more")
        sha.update(chunk)
        md5.update(chunk)
        await asyncio.to_thread(part.write, chunk)
    return Blob(uri=uri, digest=sha.hexdigest(), size=size), md5.digest()


def _listed(folder: Path, beginning: str = "") -> list[BlobInfo]:
    found = []
    for above, folders, names in os.walk(folder):  # ignores folders deleted meanwhile
        if Path(above) == folder:
            folders[:] = [name for name in folders if name.startswith(beginning)]
            names[:] = [name for name in names if name.startswith(beginning)]
        for path in (Path(above, name) for name in names):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            if S_ISREG(status.st_mode):
                size, modified_s = status.st_size, status.st_mtime
                found.append(BlobInfo(uri=str(path), size=size, modified_s=modified_s))
    return found


def _found(uri: str) -> tuple[Path, int]:
    """Return a blob's file and its size; raises BlobNotFoundError."""
    path = Path(uri.removeprefix("file://"))
    size = _size(path)
    if size is None:
        message = f"Expected a blob at {uri!r}, but there is none"
        raise BlobNotFoundError(message)
    return path, size


def _size(path: Path) -> int | None:
    try:
        found = path.stat() if path.is_absolute() else None
    except (OSError, ValueError):
        return None
    return found.st_size if found is not None and S_ISREG(found.st_mode) else None


def _write(path: Path, data: bytes, parts: Path) -> None:
    with NamedTemporaryFile(dir=parts, delete=False) as part:
        try:
            part.write(data)
            _publish(part, path)
        except BaseException:
            _discard(part)
            raise


def _publish(part: IO[bytes], path: Path) -> None:
    """Rename a complete file to its name."""
    part.close()
    Path(part.name).chmod(0o644)
    in_folder(path, lambda: Path(part.name).replace(path))


def _discard(part: IO[bytes]) -> None:
    Path(part.name).unlink(missing_ok=True)

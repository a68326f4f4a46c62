"""Blobs on plain files: atomic writes, bare absolute paths as their addresses."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from tempfile import NamedTemporaryFile
from typing import Any, Protocol

import msgspec

from infra.errors import InfraError
from schemas.values import Blob

CHUNK_BYTES = 1 << 20
PARTS = ".parts"
"""The folder of what is being written: whole files are moved from there."""


class BlobNotFoundError(InfraError):
    """No blob has this address."""


class BlobTooLargeError(InfraError):
    """The blob is larger than what may be read."""


class InvalidBlobPathError(InfraError):
    """The address leads out of the store."""


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A blob as listed: its address, bytes, and when it was written (s since 1970)."""

    uri: str
    size: int
    modified_s: float


class Blobs(Protocol):
    """A store of immutable objects."""

    root: str

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; whole addresses pass."""
        ...

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob whole, or not at all."""
        ...

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLarge."""
        ...

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFound, BlobTooLarge."""
        ...

    def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Return a blob's bytes from an offset, in chunks; raises BlobNotFound."""
        ...

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        ...

    async def list(self, prefix: str) -> list[BlobInfo]:
        """Return the blobs below a folder of the store; raises PathRefused."""
        ...

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return a file with the blob's bytes: its own, or a copy in a folder."""
        ...

    async def delete(self, uri: str) -> None:
        """Remove a blob; one that isn't there is fine."""
        ...

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob below a folder of the store; raises PathRefused."""
        ...

    async def delete_unfinished(self, before_s: float) -> int:
        """Remove what was begun before a time (s since 1970) and never finished."""
        ...


class FileBlobs:
    """Blobs as files below one folder.

    Whoever can write below the folder writes blobs: tasks do so by themselves. Reading
    follows any absolute path, as inputs may name files of the machine's user.
    """

    def __init__(self, root: Path) -> None:
        """Keep blobs below this folder."""
        self._root = root.resolve()
        self._root.mkdir(parents=True, exist_ok=True)
        self.root = str(self._root)

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; whole addresses pass."""
        if relative.startswith("/") or "://" in relative:
            return relative
        return f"{self.root}/{relative}"

    def path(self, uri: str) -> Path:
        """Return the file of an address within the store; raises PathRefused."""
        path = Path(os.path.normpath(uri.removeprefix("file://")))
        inside = path.is_relative_to(self._root) and path != self._root
        if not inside or "\0" in uri:
            message = f"Expected an address below {self.root}, but got {uri!r}"
            raise InvalidBlobPathError(message)
        return path

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob whole, or not at all."""
        path = self.path(uri)
        if len(data) > CHUNK_BYTES:
            await asyncio.to_thread(_write, path, data, self._parts())
        else:
            _write(path, data, self._parts())
        digest = hashlib.sha256(data).hexdigest()
        return Blob(uri=str(path), digest=digest, size=len(data))

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLarge."""
        path = self.path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        sha, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with NamedTemporaryFile(dir=self._parts(), delete=False) as part:
            try:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        message = f"Expected at most {limit} bytes, but got more"
                        raise BlobTooLargeError(message)
                    sha.update(chunk)
                    md5.update(chunk)
                    await asyncio.to_thread(part.write, chunk)
                _finish(part, path)
            except BaseException:
                _drop(part)
                raise
        return Blob(uri=str(path), digest=sha.hexdigest(), size=size), md5.digest()

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFound, BlobTooLarge."""
        path, size = _found(uri)
        if limit is not None and size > limit:
            message = f"Expected at most {limit} bytes at {uri}, but there are {size}"
            raise BlobTooLargeError(message)
        if size > CHUNK_BYTES:
            return await asyncio.to_thread(path.read_bytes)
        return path.read_bytes()

    async def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Return a blob's bytes from an offset, in chunks; raises BlobNotFound."""
        path, _ = _found(uri)
        with path.open("rb") as file:
            file.seek(start)
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        return _size(Path(uri.removeprefix("file://")))

    async def list(self, prefix: str) -> list[BlobInfo]:
        """Return the blobs below a folder of the store; raises PathRefused."""
        return await asyncio.to_thread(_listed, self.path(prefix))

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return the blob's own file; raises BlobNotFound."""
        del folder
        return _found(uri)[0]

    async def delete(self, uri: str) -> None:
        """Remove a blob; one that isn't there is fine."""
        self.path(uri).unlink(missing_ok=True)

    async def delete_prefix(self, prefix: str) -> None:
        """Remove every blob below a folder of the store; raises PathRefused."""
        folder = self.path(prefix)
        with suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, folder)

    async def delete_unfinished(self, before_s: float) -> int:
        """Remove what was begun before a time (s since 1970) and never finished."""
        parts = await asyncio.to_thread(_listed, self._parts())
        stale = [part for part in parts if part.modified_s < before_s]
        for part in stale:
            Path(part.uri).unlink(missing_ok=True)
        return len(stale)

    def _parts(self) -> Path:
        """Return the folder of unfinished blobs; it is never listed as blobs are."""
        folder = self._root / PARTS
        folder.mkdir(exist_ok=True)
        return folder


def is_within(uri: str, root: str) -> bool:
    """Tell whether an address lies below a root, and leads nowhere else."""
    if not uri.startswith(f"{root}/") or "\0" in uri:
        return False
    parts = uri.removeprefix(f"{root}/").split("/")
    return all(part not in {"", ".", ".."} for part in parts)


def _listed(folder: Path) -> list[BlobInfo]:
    found = []
    for above, _, names in os.walk(folder):  # which minds no folder that goes meanwhile
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
    """Return a blob's file and its size; raises BlobNotFound."""
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
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=parts, delete=False) as part:
        try:
            part.write(data)
            _finish(part, path)
        except BaseException:
            _drop(part)
            raise


def _finish(part: Any, path: Path) -> None:
    """Let a whole file appear under its name at once."""
    part.close()
    Path(part.name).chmod(0o644)
    Path(part.name).replace(path)


def _drop(part: Any) -> None:
    Path(part.name).unlink(missing_ok=True)

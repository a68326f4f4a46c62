"""A blob store that is waited for: calls return once it can be reached again."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from infra.blobs.files import BlobInfo, Blobs
from infra.clock import SYSTEM_CLOCK, Clock
from infra.retry import retry_transient
from schemas.values import Blob

_T = TypeVar("_T")


class WaitingBlobs:
    """Repeats calls during an outage, without end: for work that can't fail for it.

    What is streamed isn't repeated: its beginning has been passed on.
    """

    def __init__(self, store: Blobs, clock: Clock = SYSTEM_CLOCK) -> None:
        """Wait for this store."""
        self.store, self.clock = store, clock
        self.root = store.root

    def uri(self, relative: str) -> str:
        """Return the address of a path below the root; addresses are returned as is."""
        return self.store.uri(relative)

    async def put(self, uri: str, data: bytes) -> Blob:
        """Store a blob, all of it or nothing."""
        return await self._retry(lambda: self.store.put(uri, data))

    async def put_stream(
        self, uri: str, chunks: AsyncIterable[bytes], limit: int
    ) -> tuple[Blob, bytes]:
        """Store a blob from chunks; also return its MD5. Raises BlobTooLargeError."""
        return await self.store.put_stream(uri, chunks, limit)

    async def get(self, uri: str, limit: int | None = None) -> bytes:
        """Return a blob's bytes; raises BlobNotFoundError, BlobTooLargeError."""
        return await self._retry(lambda: self.store.get(uri, limit))

    def stream(self, uri: str, start: int = 0) -> AsyncIterator[bytes]:
        """Yield a blob's bytes from an offset, in chunks; raises BlobNotFoundError."""
        return self.store.stream(uri, start)

    async def size(self, uri: str) -> int | None:
        """Return a blob's size in bytes; None if there is none."""
        return await self._retry(lambda: self.store.size(uri))

    async def list(self, prefix: str, beginning: str = "") -> list[BlobInfo]:
        """Return the blobs below a folder of the store; raises InvalidBlobPathError."""
        return await self._retry(lambda: self.store.list(prefix, beginning))

    async def local_copy(self, uri: str, folder: Path) -> Path:
        """Return a file with the blob's bytes: its own, or a copy in a folder."""
        return await self._retry(lambda: self.store.local_copy(uri, folder))

    async def delete(self, uri: str) -> None:
        """Delete a blob, if there is one."""
        await self._retry(lambda: self.store.delete(uri))

    async def delete_prefix(self, prefix: str) -> None:
        """Delete all blobs below a folder; raises InvalidBlobPathError."""
        await self._retry(lambda: self.store.delete_prefix(prefix))

    async def delete_unfinished(self, before_s: float) -> int:
        """Delete writes that began before a time (s since 1970) and never ended."""
        return await self._retry(lambda: self.store.delete_unfinished(before_s))

    async def _retry(self, call: Callable[[], Awaitable[_T]]) -> _T:
        return await retry_transient(call, "blob_call_delayed", clock=self.clock)

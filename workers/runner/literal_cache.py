"""A cache of large literal maps, each read once for all elements of an array."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from flyteidl.core import literals_pb2

from infra.blobs.files import Blobs

_CACHED_MAX = 8


class LiteralMapCache:
    """The literal maps that elements of the latest arrays read; they never change."""

    def __init__(self, blobs: Blobs) -> None:
        """Start empty."""
        self._blobs = blobs
        self._reads: OrderedDict[str, asyncio.Task[literals_pb2.LiteralMap]] = (
            OrderedDict()
        )

    def cached(self, uri: str) -> literals_pb2.LiteralMap | None:
        """Return a literal map that was read already."""
        read = self._reads.get(uri)
        if read is None or not read.done() or _has_failed(read):
            return None
        return read.result()

    async def read(self, uri: str) -> literals_pb2.LiteralMap:
        """Return a blob as a literal map; raises what reading or decoding it raised.

        Concurrent callers share one read; a failed read is repeated by the next call.
        """
        read = self._reads.get(uri)
        if read is None or (read.done() and _has_failed(read)):
            read = self._reads[uri] = asyncio.create_task(self._read(uri))
            while len(self._reads) > _CACHED_MAX:
                self._reads.popitem(last=False)
        self._reads.move_to_end(uri)
        return await asyncio.shield(read)

    async def _read(self, uri: str) -> literals_pb2.LiteralMap:
        return literals_pb2.LiteralMap.FromString(await self._blobs.get(uri))


def _has_failed(read: asyncio.Task[literals_pb2.LiteralMap]) -> bool:
    return read.cancelled() or read.exception() is not None

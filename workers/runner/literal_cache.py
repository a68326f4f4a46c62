"""Large values of arrays, each read once for all the elements that take a part."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any

from flyteidl.core import literals_pb2

from infra.blobs.files import Blobs

_KEPT_MAX = 8


class LiteralMapCache:
    """The literal maps that elements of the latest arrays asked for; never changed."""

    def __init__(self, blobs: Blobs) -> None:
        """Keep nothing yet."""
        self._blobs = blobs
        self._kept: OrderedDict[str, asyncio.Task[Any]] = OrderedDict()

    def known(self, uri: str) -> Any | None:
        """Return a core.LiteralMap that was read already."""
        reading = self._kept.get(uri)
        if reading is None or not reading.done() or _failed(reading):
            return None
        return reading.result()

    async def read(self, uri: str) -> Any:
        """Return a blob as a core.LiteralMap; raises what reading it raised.

        Many ask at once: it is read for the first of them, and again after a failure.
        """
        reading = self._kept.get(uri)
        if reading is None or (reading.done() and _failed(reading)):
            reading = self._kept[uri] = asyncio.create_task(self._read(uri))
            while len(self._kept) > _KEPT_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(uri)
        return await asyncio.shield(reading)

    async def _read(self, uri: str) -> Any:
        return literals_pb2.LiteralMap.FromString(await self._blobs.get(uri))


def _failed(reading: asyncio.Task[Any]) -> bool:
    return reading.cancelled() or reading.exception() is not None

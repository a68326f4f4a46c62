"""Compiled workflows, loaded from their blobs and cached."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

from flyteidl.admin import workflow_pb2

from domain.graph import Definition, definition_of
from schemas.values import Blob

_LARGE_BYTES = 200_000
"""Indexing a larger closure would block the event loop for too long."""


class Blobs(Protocol):
    """What loading definitions needs of a blob store."""

    async def get(self, uri: str) -> bytes:
        """Return a blob's bytes."""
        ...


class DefinitionCache:
    """The definitions used last, by the URIs of their closures, which never change."""

    def __init__(self, blobs: Blobs, limit: int) -> None:
        """Keep up to `limit` definitions."""
        self._blobs = blobs
        self._limit = limit
        self._known: OrderedDict[str, Definition] = OrderedDict()

    async def load(self, blob: Blob) -> Definition:
        """Return the indexed closure in this blob."""
        known = self._known.get(blob.uri)
        if known is not None:
            self._known.move_to_end(blob.uri)
            return known
        data = await self._blobs.get(blob.uri)
        if len(data) > _LARGE_BYTES:
            definition = await asyncio.to_thread(_index, data)
        else:
            definition = _index(data)
        self._known[blob.uri] = definition
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
        return definition


def _index(data: bytes) -> Definition:
    return definition_of(
        workflow_pb2.WorkflowClosure.FromString(data).compiled_workflow
    )

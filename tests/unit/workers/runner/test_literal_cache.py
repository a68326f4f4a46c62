"""Literal maps that are read once for all elements of an array."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from flyteidl.core import literals_pb2
from google.protobuf.message import DecodeError

from infra.blobs.files import BlobNotFoundError, FileBlobs
from tests.support.graphs import lists
from workers.runner.literal_cache import LiteralMapCache


class Counting(FileBlobs):
    """Blobs that count how often each was read."""

    reads = 0

    async def get(self, uri: str) -> bytes:
        """Return a blob, a moment later."""
        self.reads += 1
        await asyncio.sleep(0)
        return await super().get(uri)


async def test_a_literal_map_is_read_once_for_all(tmp_path: Path) -> None:
    """Concurrent and later callers share one read."""
    blobs = Counting(tmp_path)
    blob = await blobs.put(blobs.uri("a/inputs.pb"), lists(x=[1, 2]))
    literal_maps = LiteralMapCache(blobs)
    assert literal_maps.cached(blob.uri) is None
    found = await asyncio.gather(*(literal_maps.read(blob.uri) for _ in range(50)))

    assert blobs.reads == 1
    assert all(each is found[0] for each in found)
    assert found[0] == literals_pb2.LiteralMap.FromString(lists(x=[1, 2]))
    assert literal_maps.cached(blob.uri) is found[0]


async def test_a_cancelled_caller_does_not_stop_the_read(tmp_path: Path) -> None:
    """The other callers get the result."""
    blobs = Counting(tmp_path)
    blob = await blobs.put(blobs.uri("a/inputs.pb"), lists(x=[1]))
    literal_maps = LiteralMapCache(blobs)
    first, second = (asyncio.create_task(literal_maps.read(blob.uri)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()

    assert len((await second).literals["x"].collection.literals) == 1
    assert blobs.reads == 1


async def test_a_failed_read_is_tried_again(tmp_path: Path) -> None:
    """A missing or damaged blob may exist at the next read."""
    blobs = Counting(tmp_path)
    uri, literal_maps = blobs.uri("a/inputs.pb"), LiteralMapCache(blobs)
    with pytest.raises(BlobNotFoundError):
        await literal_maps.read(uri)
    await blobs.put(uri, b"\xff")
    with pytest.raises(DecodeError):
        await literal_maps.read(uri)
    assert literal_maps.cached(uri) is None
    await blobs.put(uri, lists(x=[1]))

    assert "x" in (await literal_maps.read(uri)).literals


async def test_only_the_latest_are_cached(tmp_path: Path) -> None:
    """Memory is bounded: the least recently used one is dropped."""
    blobs = Counting(tmp_path)
    literal_maps = LiteralMapCache(blobs)
    uris = [blobs.uri(f"{number}/inputs.pb") for number in range(9)]
    for uri in uris:
        await blobs.put(uri, lists(x=[1]))
        await literal_maps.read(uri)

    assert [literal_maps.cached(uri) is None for uri in uris] == [True] + [False] * 8

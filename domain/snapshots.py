"""Snapshots of streams, of whichever kind: the chunks in which a state is written."""

from __future__ import annotations

import msgspec


class ChunkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a chunk may grow; a single item of a state may be larger."""

    items_max: int = 256
    bytes_max: int = 256 * 1024


class Chunk(msgspec.Struct, frozen=True):
    """One chunk to write: its number, and a part of the state as bytes."""

    number: int
    body: bytes


class TornSnapshotError(ValueError):
    """A head and chunks don't belong together, or their bytes are damaged."""

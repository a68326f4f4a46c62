"""Snapshots: what a partition needs to be taken up without its whole history."""

from __future__ import annotations

import msgspec


class StreamHead(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a live stream up to a sequence, without its nodes.

    `form` says how bodies are written: whoever knows another one ignores them.
    `chunks` tells, for each chunk of the stream's nodes, the sequence at which it was
    written last: one that says otherwise belongs to another head.
    """

    form: str
    sequence: int
    correlation: str
    last_us: int
    chunks: tuple[int, ...]
    body: bytes


class StreamChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some nodes of a live stream, as folded up to a sequence."""

    form: str
    number: int
    sequence: int
    body: bytes


class StreamClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A stream has ended: all that is left of it on this topic.

    `node_id` and `attempt` name the node that asked for it, if an execution did; that
    one's stream is what `created_by` begins with.
    """

    last_sequence: int
    phase: str
    created_by: str
    node_id: str = ""
    attempt: int = 0
    is_deleted: bool = False


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever lies on the partition's events up to this position is in snapshots.

    `forgotten` counts ended streams of which nothing is left here.
    """

    events_offset: int
    forgotten: int = 0


Snapshot = StreamHead | StreamChunk | StreamClosed | Checkpoint

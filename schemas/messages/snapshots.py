"""Snapshots: what restores a partition without reading all of its history."""

from __future__ import annotations

import msgspec


class StreamHead(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a live stream up to a sequence, without its nodes.

    `form` is the format of bodies: snapshots in another format are ignored. `chunks`
    holds, for each chunk of the stream's nodes, the sequence at which it was written
    last: a chunk with another sequence belongs to another head. All events of the
    stream are after the position `began_after` of the partition's events: in whatever
    format the body is, the state can be folded again from there.
    """

    form: str
    sequence: int
    correlation: str
    last_us: int
    chunks: tuple[int, ...]
    body: bytes
    began_after: int = 0


class StreamChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some nodes of a live stream, as folded up to a sequence."""

    form: str
    number: int
    sequence: int
    body: bytes


class StreamClosed(msgspec.Struct, frozen=True, kw_only=True):
    """A stream has ended: this is all that the topic keeps of it.

    `node_id` and `attempt` name the launch plan node that requested it, if any, whose
    stream is the beginning of `created_by`.
    """

    last_sequence: int
    phase: str
    created_by: str
    node_id: str = ""
    attempt: int = 0
    is_deleted: bool = False


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The partition's events up to this position are contained in snapshots.

    `forgotten` counts ended streams that the topic has nothing of any more.
    """

    events_offset: int
    forgotten: int = 0


Snapshot = StreamHead | StreamChunk | StreamClosed | Checkpoint

"""A partition as its snapshots have it: decoded, and whatever can't be used ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import structlog

from domain.snapshots import TornSnapshotError
from infra.eventlog.contract import Pages, Received
from schemas import topics
from schemas.messages.snapshots import (
    Checkpoint,
    Snapshot,
    StreamChunk,
    StreamClosed,
    StreamHead,
)
from schemas.wire import codec
from workers.propeller.kinds.contract import AnyStream
from workers.propeller.kinds.rules import Layout
from workers.propeller.snapshots import CHECKPOINT
from workers.propeller.stream_kinds import StreamKinds

log_ = structlog.get_logger(__name__)

_YIELD_EVERY = 100
"""Snapshots that are decoded before others get their turn."""


class CompactedLog(Protocol):
    """What reading snapshots needs of the log."""

    def read_compacted(self, topic: str, partition: int) -> Pages:
        """Yield what is on a compacted topic's partition at the call, then end."""
        ...


@dataclass(slots=True)
class PartitionState:
    """A partition as read: active streams, how the rest ended, what was written.

    `after` is the position up to which events are in it, but for those of `refolded`:
    streams whose snapshots can't be used, each with a position that all of its events
    are after; `began` has that of the others. `end` is the last position read.
    `changed` are the streams that events after the checkpoint belong to, `broken` those
    whose events don't fold. `evicted` counts closed streams of which nothing is stored.
    """

    active: dict[str, AnyStream] = field(default_factory=dict)
    closed: dict[str, StreamClosed] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    after: int = 0
    refolded: dict[str, int] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    end: int = 0
    evicted: int = 0
    changed: dict[str, None] = field(default_factory=dict)
    broken: dict[str, None] = field(default_factory=dict)
    has_gap: bool = False


@dataclass(slots=True)
class _Parts:
    """The parts of states, by stream: chunks with the sequences of their writes."""

    heads: dict[str, StreamHead] = field(default_factory=dict)
    chunks: dict[str, dict[int, tuple[int, bytes]]] = field(default_factory=dict)


class _Unusable(NamedTuple):
    """A snapshot of a stream in a format that this version doesn't know."""

    began_after: int


async def read_snapshots(
    log: CompactedLog, kinds: StreamKinds, partition: int
) -> PartitionState:
    """Return what snapshots have of a partition."""
    found, parts = PartitionState(), _Parts()
    newest = await _newest(log, partition)
    for number, received in enumerate(newest):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        stream = received.envelope.stream
        match _usable(received, kinds):
            case _Unusable() as unusable:
                _refold(found, stream, unusable.began_after)
            case None:
                pass
            case message:
                _collect(found, parts, stream, message)
    await _decode_states(found, kinds, parts)
    for stream in found.refolded:
        found.closed.pop(stream, None)
    found.end = found.after
    if found.refolded:
        streams = len(found.refolded)
        log_.warning("snapshots_ignored", partition=partition, streams=streams)
    return found


def _refold(found: PartitionState, stream: str, began_after: int) -> None:
    """Have a stream folded from its events: nothing before this position is its."""
    known = found.refolded.get(stream, began_after)
    found.refolded[stream] = min(known, began_after)


async def _newest(log: CompactedLog, partition: int) -> Sequence[Received]:
    """Return the newest snapshot of each key, but for those that were deleted."""
    newest: dict[str, Received] = {}
    async for batch in log.read_compacted(topics.SNAPSHOTS, partition):
        for received in batch:
            newest.pop(received.key, None)
            if received.body:
                newest[received.key] = received
    return list(newest.values())


def _usable(received: Received, kinds: StreamKinds) -> Snapshot | _Unusable | None:
    """Return a snapshot that this version can use, or what it says of its stream.

    None for what says nothing: chunks, whose head decides, and what belongs nowhere.
    """
    stream = received.envelope.stream
    try:
        message = codec.decode(received.body)
    except codec.UndecodableMessageError:
        message = None
    if isinstance(message, Checkpoint):
        return message if received.key == CHECKPOINT else None
    kind = kinds.find(stream)
    form = kind.snapshots.name() if kind is not None else None
    match message:
        case StreamHead():
            return message if message.form == form else _Unusable(message.began_after)
        case StreamChunk():
            return message if message.form == form else None
        case StreamClosed() if kind is not None:
            return message
        case _:
            return _Unusable(0) if stream and received.key == stream else None


def _collect(
    found: PartitionState, parts: _Parts, stream: str, message: Snapshot
) -> None:
    match message:
        case StreamHead():
            parts.heads[stream] = message
        case StreamChunk():
            written = parts.chunks.setdefault(stream, {})
            written[message.number] = message.sequence, message.body
        case StreamClosed():
            found.closed[stream] = message
        case Checkpoint():
            found.after, found.evicted = message.events_offset, message.forgotten


async def _decode_states(
    found: PartitionState, kinds: StreamKinds, parts: _Parts
) -> None:
    """Decode states of heads and chunks; those that aren't complete are folded."""
    for number, (name, head) in enumerate(parts.heads.items()):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        kind = kinds.of(name)
        try:
            state, layout = kind.snapshots.decode(
                head.body, head.chunks, parts.chunks.get(name, {})
            )
        except TornSnapshotError:
            _refold(found, name, head.began_after)
            continue
        except Exception:
            log_.exception("snapshot_damaged", stream=name)
            _refold(found, name, head.began_after)
            continue
        found.layouts[name] = layout
        found.active[name] = kind.restored(state, head)
        found.began[name] = head.began_after

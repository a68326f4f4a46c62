"""Restoring a partition: snapshots of its streams, then the events after them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from domain.snapshots import TornSnapshotError
from infra.eventlog.contract import OwnedPartition, Received
from infra.retry import retry_transient
from schemas import topics
from schemas.messages.node_events import Event
from schemas.messages.snapshots import (
    Checkpoint,
    Snapshot,
    StreamChunk,
    StreamClosed,
    StreamHead,
)
from schemas.wire import codec
from workers.propeller.kinds.contract import AnyStream, Layout
from workers.propeller.loop import Propeller
from workers.propeller.snapshots import CHECKPOINT
from workers.propeller.stream_kinds import StreamKinds

log_ = structlog.get_logger(__name__)

_EVENTS_PAGE = 1000
_YIELD_EVERY = 100
"""Snapshots that are decoded before others get their turn."""


class SnapshotLog(Protocol):
    """What restoring needs of the log."""

    def read_to_end(
        self,
        topic: str,
        after: Mapping[int, int],
        limit: int,
        partition: int | None = None,
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a topic after positions and was there at the call."""
        ...

    def read_compacted(
        self, topic: str, partition: int
    ) -> AsyncIterator[Sequence[Received]]:
        """Yield what is on a compacted topic's partition at the call, then end."""
        ...


@dataclass(slots=True)
class PartitionState:
    """A partition as read: active streams, how the rest ended, what was written.

    `after` is the position up to which events are in it. `changed` are the streams
    that events after the checkpoint belong to, `broken` those whose events don't fold.
    `evicted` counts closed streams of which nothing is stored here.
    """

    active: dict[str, AnyStream] = field(default_factory=dict)
    closed: dict[str, StreamClosed] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    after: int = 0
    evicted: int = 0
    changed: dict[str, None] = field(default_factory=dict)
    broken: dict[str, None] = field(default_factory=dict)
    has_gap: bool = False


async def restore(log: SnapshotLog, partition: OwnedPartition, into: Propeller) -> None:
    """Restore all streams of a partition; there are no others on it.

    It is owned, so nobody adds events to it meanwhile. A stream that can't be folded
    costs only itself: its commands are dead letters.
    """
    found = await retry_transient(
        lambda: read_partition(log, into.kinds, partition.number),
        "restore_delayed",
        clock=into.clock,
    )
    _adopt(found, into)


async def restore_from_snapshots(
    log: SnapshotLog, partition: OwnedPartition, into: Propeller
) -> bool:
    """Restore a partition, unless there are events and no checkpoint; return whether.

    What was restored is all that there is on the partition.
    """
    found = await retry_transient(
        lambda: _read_snapshots(log, into.kinds, partition.number),
        "restore_delayed",
        clock=into.clock,
    )
    if not found.after and await partition.end_position(topics.EVENTS):
        return False
    await retry_transient(
        lambda: _read_events(log, into.kinds, partition.number, found),
        "restore_delayed",
        clock=into.clock,
    )
    _adopt(found, into)
    return True


def _adopt(found: PartitionState, into: Propeller) -> None:
    for name, closed in found.closed.items():
        into.streams.put_closed(name, closed)
    for name, stream in found.active.items():
        into.adopt_stream(name, stream)
    into.streams.mark_complete(unread=found.broken, but_evicted=found.evicted > 0)
    into.snapshots.layouts = found.layouts
    into.snapshots.is_withheld = bool(found.broken)
    into.snapshots.evicted = found.evicted
    into.snapshots.changed = {name: found.active.get(name) for name in found.changed}


async def read_partition(
    log: SnapshotLog, kinds: StreamKinds, partition: int
) -> PartitionState:
    """Return what is on a partition; all of its events are read only if need be."""
    found = await _read_snapshots(log, kinds, partition)
    await _read_events(log, kinds, partition, found)
    return found


async def _read_events(
    log: SnapshotLog, kinds: StreamKinds, partition: int, found: PartitionState
) -> None:
    await _fold(log, kinds, partition, found)
    if found.has_gap:
        log_.warning("full_replay", partition=partition, why="a snapshot is missing")
        found.after, found.has_gap = 0, False
        await _fold(log, kinds, partition, found)


async def _read_snapshots(
    log: SnapshotLog, kinds: StreamKinds, partition: int
) -> PartitionState:
    newest: dict[str, Received] = {}
    async for batch in log.read_compacted(topics.SNAPSHOTS, partition):
        for received in batch:
            newest.pop(received.key, None)
            if received.body:
                newest[received.key] = received
    found, unread = PartitionState(), 0
    heads: dict[str, StreamHead] = {}
    chunks: dict[str, dict[int, tuple[int, bytes]]] = {}
    for number, received in enumerate(newest.values()):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        message, stream = _readable(received, kinds), received.envelope.stream
        match message:
            case StreamHead():
                heads[stream] = message
            case StreamChunk():
                written = chunks.setdefault(stream, {})
                written[message.number] = message.sequence, message.body
            case StreamClosed():
                found.closed[stream] = message
            case Checkpoint():
                found.after, found.evicted = message.events_offset, message.forgotten
            case None:
                unread += 1
    unread += await _decode_states(found, kinds, heads, chunks)
    if unread:
        log_.warning("snapshots_ignored", partition=partition, snapshots=unread)
        found.after = 0
    return found


def _readable(received: Received, kinds: StreamKinds) -> Snapshot | None:
    """Return a snapshot; None for one that this version can't use."""
    try:
        message = codec.decode(received.body)
    except codec.UndecodableMessageError:
        return None
    if isinstance(message, Checkpoint):
        return message if received.key == CHECKPOINT else None
    kind = kinds.find(received.envelope.stream)
    match message:
        case StreamHead() | StreamChunk() if kind is not None:
            return message if message.form == kind.snapshots.name() else None
        case StreamClosed() if kind is not None:
            return message
        case _:
            return None


async def _decode_states(
    found: PartitionState,
    kinds: StreamKinds,
    heads: Mapping[str, StreamHead],
    chunks: Mapping[str, Mapping[int, tuple[int, bytes]]],
) -> int:
    """Decode states of heads and chunks; return how many aren't complete."""
    torn = 0
    for number, (name, head) in enumerate(heads.items()):
        if number % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
        kind = kinds.of(name)
        try:
            state, layout = kind.snapshots.decode(
                head.body, head.chunks, chunks.get(name, {})
            )
        except TornSnapshotError:
            torn += 1
            continue
        found.layouts[name] = layout
        found.active[name] = kind.restored(state, head)
    return torn


async def _fold(
    log: SnapshotLog, kinds: StreamKinds, partition: int, found: PartitionState
) -> None:
    """Bring states forward by the events after them, which have their sequence."""
    after = {partition: found.after}
    async for batch in log.read_to_end(topics.EVENTS, after, _EVENTS_PAGE, partition):
        for received in batch:
            name = received.envelope.stream
            stream, closed = found.active.get(name), found.closed.get(name)
            known = closed.last_sequence if closed else stream.sequence if stream else 0
            if received.envelope.sequence <= known or name in found.broken:
                continue
            if received.envelope.sequence > known + 1 and found.after:
                found.has_gap = True
                continue
            _fold_event(found, kinds, stream, closed, received)
        await asyncio.sleep(0)


def _fold_event(
    found: PartitionState,
    kinds: StreamKinds,
    stream: AnyStream | None,
    closed: StreamClosed | None,
    received: Received,
) -> None:
    name, message = received.envelope.stream, kinds.messages.decode(received.body)
    try:
        kind = kinds.of(name)
        if stream is None:
            stream = kind.begin() if closed is None else kind.ended(name, closed)
        assert isinstance(message, Event)  # noqa: S101 - a stream has nothing else
        stream = kind.folded(stream, message, received.envelope)
        if stream.state.is_terminal:
            closed = kind.closing.summary(stream.state, stream.sequence)
    except Exception:
        log_.exception("stream_not_restored", stream=name)
        found.broken[name] = None
        found.active.pop(name, None)
        found.changed.pop(name, None)
        return
    found.changed[name] = None
    if stream.state.is_terminal and closed is not None:
        found.active.pop(name, None)
        found.closed[name] = closed
    else:
        found.active[name] = stream

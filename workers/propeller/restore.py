"""Taking up a partition: snapshots of what lives on it, then the events after them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from domain.execution.state.snapshot_chunks import (
    Layout,
    TornSnapshotError,
    form,
    joined,
)
from infra.eventlog.contract import OwnedPartition, Received
from infra.retry import retry_transient
from schemas import topics
from schemas.messages.snapshots import Checkpoint, StreamChunk, StreamClosed, StreamHead
from schemas.wire import codec
from workers.propeller.loading.stream_cache import StreamState, ended, folded
from workers.propeller.loading.stream_endings import closed
from workers.propeller.loop import Propeller
from workers.propeller.snapshots import CHECKPOINT

log_ = structlog.get_logger(__name__)

_BATCH = 1000
_BREATH = 100
"""Snapshots that are read without letting others run."""


class SnapshotLog(Protocol):
    """What restoring asks of the log."""

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
class Found:
    """What lies on a partition: what lives, how the rest ended, and what was written.

    `after` is the position up to which events are in it. `changed` are the streams
    that events after it belong to, `broken` those whose events don't follow.
    """

    live: dict[str, StreamState] = field(default_factory=dict)
    ended: dict[str, StreamClosed] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)
    after: int = 0
    forgotten: int = 0
    changed: dict[str, None] = field(default_factory=dict)
    broken: dict[str, None] = field(default_factory=dict)
    has_gap: bool = False


async def restore(log: SnapshotLog, partition: OwnedPartition, into: Propeller) -> None:
    """Take up what lies on a partition; afterwards nothing else lies on it.

    It is owned, so nobody adds events to it meanwhile. A stream that can't be folded
    costs only itself: its commands are dead letters.
    """
    found = await retry_transient(
        lambda: read(log, partition.number), "restore_delayed", clock=into.clock
    )
    _take_up(found, into)


async def by_snapshots(
    log: SnapshotLog, partition: OwnedPartition, into: Propeller
) -> bool:
    """Take up what lies on a partition, unless all of its history had to be read."""
    found = await retry_transient(
        lambda: _snapshots(log, partition.number), "restore_delayed", clock=into.clock
    )
    if not found.after and await partition.end_position(topics.EVENTS):
        return False
    await retry_transient(
        lambda: _tail(log, partition.number, found), "restore_delayed", clock=into.clock
    )
    _take_up(found, into)
    return True


def _take_up(found: Found, into: Propeller) -> None:
    for stream, ending in found.ended.items():
        into.streams.put_ended(stream, ending)
    for stream, live in found.live.items():
        into.adopt_stream(stream, live)
    into.streams.mark_complete(unread=found.broken, but_forgotten=found.forgotten > 0)
    into.snapshots.layouts = found.layouts
    into.snapshots.is_withheld = bool(found.broken)
    into.snapshots.forgotten = found.forgotten
    into.snapshots.changed = {s: found.live.get(s) for s in found.changed}


async def read(log: SnapshotLog, partition: int) -> Found:
    """Return what lies on a partition; its whole history is read only if it must be."""
    found = await _snapshots(log, partition)
    await _tail(log, partition, found)
    return found


async def _tail(log: SnapshotLog, partition: int, found: Found) -> None:
    await _fold(log, partition, found)
    if found.has_gap:
        log_.warning("full_replay", partition=partition, why="a snapshot is missing")
        found.after, found.has_gap = 0, False
        await _fold(log, partition, found)


async def _snapshots(log: SnapshotLog, partition: int) -> Found:
    newest: dict[str, Received] = {}
    async for batch in log.read_compacted(topics.SNAPSHOTS, partition):
        for received in batch:
            newest.pop(received.key, None)
            if received.body:
                newest[received.key] = received
    found, unread = Found(), 0
    heads: dict[str, StreamHead] = {}
    chunks: dict[str, dict[int, tuple[int, bytes]]] = {}
    for number, received in enumerate(newest.values()):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        message, stream = _message(received), received.envelope.stream
        match message:
            case StreamHead():
                heads[stream] = message
            case StreamChunk():
                held = chunks.setdefault(stream, {})
                held[message.number] = message.sequence, message.body
            case StreamClosed():
                found.ended[stream] = message
            case Checkpoint() if received.key == CHECKPOINT:
                found.after, found.forgotten = message.events_offset, message.forgotten
            case _:
                unread += 1
    unread += await _join(found, heads, chunks)
    if unread:
        log_.warning("snapshots_ignored", partition=partition, snapshots=unread)
        found.after = 0
    return found


def _message(received: Received) -> Any:
    """Return what a snapshot says; None if this version can't read it."""
    try:
        message = codec.decode(received.body)
    except codec.UndecodableMessageError:
        return None
    if isinstance(message, StreamHead | StreamChunk) and message.form != form():
        return None
    return message


async def _join(
    found: Found,
    heads: Mapping[str, StreamHead],
    chunks: Mapping[str, Mapping[int, tuple[int, bytes]]],
) -> int:
    """Put states together; return how many couldn't be."""
    torn = 0
    for number, (stream, head) in enumerate(heads.items()):
        if number % _BREATH == 0:
            await asyncio.sleep(0)
        try:
            state, layout = joined(head.body, head.chunks, chunks.get(stream, {}))
        except TornSnapshotError:
            torn += 1
            continue
        found.layouts[stream] = layout
        found.live[stream] = StreamState(
            state=state,
            sequence=head.sequence,
            correlation=head.correlation,
            last_us=head.last_us,
        )
    return torn


async def _fold(log: SnapshotLog, partition: int, found: Found) -> None:
    """Bring states forward by the events after them, which say their sequence."""
    after = {partition: found.after}
    async for batch in log.read_to_end(topics.EVENTS, after, _BATCH, partition):
        for received in batch:
            stream = received.envelope.stream
            live, ending = found.live.get(stream), found.ended.get(stream)
            known = ending.last_sequence if ending else live.sequence if live else 0
            if received.envelope.sequence <= known or stream in found.broken:
                continue
            if received.envelope.sequence > known + 1 and found.after:
                found.has_gap = True
                continue
            _follow(found, live or ended(stream, ending), received)
        await asyncio.sleep(0)


def _follow(found: Found, live: StreamState, received: Received) -> None:
    stream = received.envelope.stream
    try:
        live = folded(live, received)
        ending = closed(live.state, live.sequence) if live.state.is_terminal else None
    except codec.UndecodableMessageError:
        raise
    except Exception:
        log_.exception("stream_not_restored", stream=stream)
        found.broken[stream] = None
        found.live.pop(stream, None)
        found.changed.pop(stream, None)
        return
    found.changed[stream] = None
    if ending is None:
        found.live[stream] = live
    else:
        found.live.pop(stream, None)
        found.ended[stream] = ending

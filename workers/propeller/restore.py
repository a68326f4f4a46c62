"""Restoring a partition: snapshots of its streams, then the events after them."""

from __future__ import annotations

import asyncio
from itertools import chain, islice
from typing import Protocol

import structlog

from infra.errors import PermanentError
from infra.eventlog.contract import OwnedPartition, Pages, Positions, Received
from infra.retry import retry_transient
from schemas import topics
from schemas.messages.node_events import Event
from schemas.messages.snapshots import StreamClosed
from workers.propeller.kinds.contract import AnyStream
from workers.propeller.loop import Propeller
from workers.propeller.partition_state import (
    CompactedLog,
    PartitionState,
    read_snapshots,
)
from workers.propeller.stream_kinds import StreamKinds

log_ = structlog.get_logger(__name__)

_EVENTS_PAGE = 1000
_PLACES_CHECKED = 100
_FOREIGN_SHARE = 4
"""One in so many is too many: twice the partitions make half of all streams foreign."""


class RestoreLog(CompactedLog, Protocol):
    """What restoring needs of the log."""

    def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Yield what is on a topic after positions and was there at the call."""
        ...


async def restore(log: RestoreLog, partition: OwnedPartition, into: Propeller) -> None:
    """Restore all streams of a partition; there are no others on it.

    It is owned, so nobody adds events to it meanwhile. A stream that can't be folded
    costs only itself: its commands are dead letters.
    """
    found = await retry_transient(
        lambda: read_partition(log, into.kinds, partition.number),
        "restore_delayed",
        clock=into.clock,
    )
    await _check_places(partition, found)
    _adopt(found, into)


async def _check_places(partition: OwnedPartition, found: PartitionState) -> None:
    """Raise PermanentError if streams were placed by another number of partitions.

    A few that don't belong here cost themselves only: no command reaches them.
    """
    sample = list(islice(chain(found.active, found.closed), _PLACES_CHECKED))
    foreign = [name for name in sample if not await partition.holds(name)]
    if len(foreign) * _FOREIGN_SHARE > len(sample):
        raise PermanentError(
            f"Expected streams of partition {partition.number} to belong there, but "
            f"{len(foreign)} of {len(sample)} don't, such as '{foreign[0]}': was the "
            "number of partitions (kafka.partitions) changed? It must stay as it was"
        )


async def restore_from_snapshots(
    log: RestoreLog, partition: OwnedPartition, into: Propeller
) -> bool:
    """Restore a partition, unless there are events and no checkpoint; return whether.

    What was restored is all that there is on the partition.
    """
    found = await retry_transient(
        lambda: read_snapshots(log, into.kinds, partition.number),
        "restore_delayed",
        clock=into.clock,
    )
    end = await retry_transient(
        lambda: partition.end_position(topics.EVENTS),
        "restore_delayed",
        clock=into.clock,
    )
    if end and not found.after:
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
    into.snapshots.began, into.snapshots.end = found.began, found.end
    into.snapshots.knows_all = True
    into.snapshots.is_withheld = bool(found.broken)
    into.snapshots.evicted = found.evicted
    into.snapshots.changed = {name: found.active.get(name) for name in found.changed}


async def read_partition(
    log: RestoreLog, kinds: StreamKinds, partition: int
) -> PartitionState:
    """Return what is on a partition; all of its events are read only if need be."""
    found = await read_snapshots(log, kinds, partition)
    await _read_events(log, kinds, partition, found)
    return found


async def _read_events(
    log: RestoreLog, kinds: StreamKinds, partition: int, found: PartitionState
) -> None:
    await _fold(log, kinds, partition, found)
    if found.has_gap:
        log_.warning("full_replay", partition=partition, why="a snapshot is missing")
        found.after, found.has_gap = 0, False
        found.refolded.clear()
        await _fold(log, kinds, partition, found)


async def _fold(
    log: RestoreLog, kinds: StreamKinds, partition: int, found: PartitionState
) -> None:
    """Bring states forward by the events after them, which have their sequence.

    Before the checkpoint, only streams whose snapshots can't be used have any: what
    isn't known of the others has ended, and is stored elsewhere.
    """
    after = {partition: min((found.after, *found.refolded.values()))}
    async for batch in log.read_to_end(topics.EVENTS, after, _EVENTS_PAGE, partition):
        for received in batch:
            name, at = received.envelope.stream, received.position
            found.end = max(found.end, at)
            if at <= found.after and name not in found.refolded:
                continue
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
    found.began.setdefault(name, max(received.position - 1, 0))
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
        found.began.pop(name, None)
        found.closed[name] = closed
    else:
        found.active[name] = stream

"""Snapshots of an owned partition: who takes it up next reads little of its history.

They are written in rounds, beside the events, by the same fenced owner. A round begins
with the end of the events: what changed up to there is written bit by bit, and then a
checkpoint says so. Whatever moment it is interrupted at, the last checkpoint holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from msgspec.structs import replace

from domain.execution.state.snapshot_chunks import Layout, Sizes, cut, form, head_of
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import FencedError, PermanentError, TransientError
from infra.eventlog.contract import OwnedPartition, Record
from infra.retry import RETRY_S, retry_transient
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.snapshots import Checkpoint, Snapshot, StreamChunk, StreamHead
from schemas.wire import codec
from workers.propeller.loading.stream_cache import StreamCache, StreamState

log_ = structlog.get_logger(__name__)

CHECKPOINT = "checkpoint"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often snapshots are taken, and how much is written at once."""

    every_s: float = 10.0
    commit_bytes: int = 1024 * 1024
    sizes: Sizes = field(default_factory=Sizes)
    retry_s: float = RETRY_S
    last_s: float = 2.0


@dataclass(slots=True)
class _Round:
    """Streams still to be written before a checkpoint at a position.

    `is_whole` as long as the log took all of them; it takes one stream at a time once
    it refused several.
    """

    position: int
    left: deque[str]
    commit_bytes: int
    is_whole: bool = True


@dataclass(slots=True)
class Snapshots:
    """What was written of each live stream, and which have changed since.

    Of one that has ended since, nothing is kept here. Checkpoints are withheld while a
    stream's events can't be folded: nothing else tells whoever comes next of them.
    """

    cadence: Cadence = Cadence()
    clock: Clock = SYSTEM_CLOCK
    layouts: dict[str, Layout] = field(default_factory=dict)
    changed: dict[str, StreamState | None] = field(default_factory=dict)
    forgotten: int = 0
    is_withheld: bool = False
    written_bytes: int = 0
    due_us: int | None = None
    going: _Round | None = None

    def note(self, stream: str, live: StreamState) -> None:
        """Take note of a stream that has changed."""
        self.changed[stream] = None if live.state.is_terminal else live

    def begin(self, live: Mapping[str, StreamState]) -> None:
        """Begin anew with these streams, when no snapshots could be taken up.

        What ended before is among the forgotten ones.
        """
        self.layouts, self.changed = {}, dict(live)
        self.forgotten = max(self.forgotten, 1)

    async def turn(self, partition: OwnedPartition, streams: StreamCache) -> None:
        """Write a bit, if it is time to.

        Must be called between commits of the partition, when all that was committed is
        noted. Raises Fenced.
        """
        if self.going is None:
            every_us = round(self.cadence.every_s * 1_000_000)
            now_us = self.clock.now_us()
            if self.due_us is None or (now_us >= self.due_us and not self.changed):
                self.due_us = now_us + every_us
            if now_us < self.due_us:
                return
            self.due_us = now_us + every_us
            position = await self._retry_transient(
                lambda: partition.end_position(topics.EVENTS)
            )
            self.going = _Round(
                position, deque(self.changed), self.cadence.commit_bytes
            )
        await self._write(self.going, partition, streams)
        if not self.going.left:
            going, self.going = self.going, None
            if going.is_whole and not self.is_withheld:
                await self._finish(going.position, partition, streams)

    async def leave(self, partition: OwnedPartition, streams: StreamCache) -> None:
        """Write all that has changed, for who comes next; no longer than `last_s`.

        It ends between two commits; one that isn't answered is waited for as long
        again. Who is there already has read what there was: nothing is lost.
        """
        until_s = self.clock.monotonic() + self.cadence.last_s
        self.going, self.due_us = None, self.clock.now_us()
        try:
            async with self.clock.timeout(2 * self.cadence.last_s):
                while (self.changed or self.going) and self.clock.monotonic() < until_s:
                    await self.turn(partition, streams)
                    if self.going is None:
                        return
        except (FencedError, PermanentError, TimeoutError) as error:
            log_.info("final_snapshot_skipped", at=partition.number, error=repr(error))

    async def _retry_transient(self, action: Callable[[], Awaitable[_T]]) -> _T:
        return await retry_transient(
            action, "snapshot_delayed", self.cadence.retry_s, clock=self.clock
        )

    async def _write(
        self, going: _Round, partition: OwnedPartition, streams: StreamCache
    ) -> None:
        records, size = list[Record](), 0
        taken = dict[str, tuple[StreamState | None, Layout | None]]()
        while going.left and (not taken or size < going.commit_bytes):
            stream = going.left.popleft()
            live = self.changed.pop(stream)
            layout, found = self._snapshot(stream, live, streams)
            taken[stream] = live, layout
            records += found
            size += sum(len(record.body) for record in found)
        try:
            await self._commit(partition, records)
        except PermanentError as error:
            self.changed = {s: live for s, (live, _) in taken.items()} | self.changed
            if len(taken) > 1:
                going.left.extendleft(taken)
                going.commit_bytes = 0
                return
            log_.warning(
                "snapshot_rejected", error=str(error), stream=next(iter(taken))
            )
            going.is_whole = False
            return
        for stream, (_, layout) in taken.items():
            if layout is None:
                self.layouts.pop(stream, None)
            else:
                self.layouts[stream] = layout

    async def _finish(
        self, position: int, partition: OwnedPartition, streams: StreamCache
    ) -> None:
        """Say that all is written; let go of endings that are too many."""
        old = [s for s in await evictable(streams) if s not in self.changed]
        checkpoint = Checkpoint(
            events_offset=position, forgotten=self.forgotten + len(old)
        )
        records = [_tombstone(stream, stream) for stream in old]
        records.append(_record(CHECKPOINT, "", checkpoint))
        await self._commit(partition, records)
        streams.forget(old)
        self.forgotten += len(old)

    async def _commit(
        self, partition: OwnedPartition, records: Sequence[Record]
    ) -> None:
        at = partition.number
        addressed = [replace(record, partition=at) for record in records]
        await self._retry_transient(lambda: partition.commit(addressed, None))
        self.written_bytes += sum(len(record.body) for record in addressed)

    def _snapshot(
        self, stream: str, live: StreamState | None, streams: StreamCache
    ) -> tuple[Layout | None, list[Record]]:
        """Return what is written of a stream then, and the records that do so."""
        before = self.layouts.get(stream, Layout())
        if live is None:
            gone = range(len(before.members))
            records = [_tombstone(_key(stream, number), stream) for number in gone]
            ending = streams.ending(stream)
            if ending is not None:
                records.append(_record(stream, stream, ending))
            return None, records
        layout, chunks = cut(before, live.state, live.sequence, self.cadence.sizes)
        today = form()
        records = [
            _record(
                _key(stream, chunk.number),
                stream,
                StreamChunk(
                    form=today,
                    number=chunk.number,
                    sequence=live.sequence,
                    body=chunk.body,
                ),
            )
            for chunk in chunks
        ]
        head = StreamHead(
            form=today,
            sequence=live.sequence,
            correlation=live.correlation,
            last_us=live.last_us,
            chunks=layout.written,
            body=head_of(live.state),
        )
        return layout, [*records, _record(stream, stream, head)]


async def evictable(streams: StreamCache) -> Sequence[str]:
    """Return endings to let go of; none while nobody can tell that he knows them."""
    try:
        return await streams.forgettable()
    except TransientError as error:
        log_.warning("closed_streams_not_evicted", error=str(error))
        return ()


def _key(stream: str, number: int) -> str:
    return f"{stream}#{number}"


def _record(key: str, stream: str, message: Snapshot) -> Record:
    envelope = Envelope(id=key, type=codec.type_name(message), stream=stream)
    return Record(
        topic=topics.SNAPSHOTS,
        key=key,
        envelope=envelope,
        body=codec.encode(message),
    )


def _tombstone(key: str, stream: str) -> Record:
    envelope = Envelope(id=key, type="", stream=stream)
    return Record(topic=topics.SNAPSHOTS, key=key, envelope=envelope, body=b"")

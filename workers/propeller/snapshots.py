"""Snapshots of an owned partition: its next owner reads few of its events.

They are written in rounds, beside the events, by the same fenced owner. A round begins
at the end of the events: what changed before that is written bit by bit, and then a
checkpoint with that position. If a round is interrupted, the last checkpoint holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import structlog
from msgspec.structs import replace

from domain.snapshots import ChunkLimits
from infra.clock import SYSTEM_CLOCK, Clock
from infra.errors import FencedError, PermanentError, TransientError
from infra.eventlog.contract import OwnedPartition, Record
from infra.outages import log_failure
from infra.retry import RETRY_S, retry_transient
from schemas import topics
from schemas.envelope import Envelope
from schemas.levels import newest_level
from schemas.messages.snapshots import Checkpoint, Snapshot, StreamChunk, StreamHead
from schemas.wire import codec
from workers.propeller.kinds.contract import AnyStream
from workers.propeller.kinds.rules import Layout
from workers.propeller.loading.stream_cache import StreamCache

log_ = structlog.get_logger(__name__)

CHECKPOINT = "checkpoint"
BEGAN_LEVEL = 2
"""The format level from which on heads say where their streams began."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How often snapshots are taken, and how much is written at once.

    `shutdown_timeout_s` is how long the last round may take.
    """

    interval_s: float = 10.0
    commit_bytes: int = 1024 * 1024
    chunk_limits: ChunkLimits = field(default_factory=ChunkLimits)
    retry_s: float = RETRY_S
    shutdown_timeout_s: float = 2.0


@dataclass(slots=True)
class Round:
    """Streams still to be written before a checkpoint at a position.

    `is_complete` as long as the log stored all of them; streams are written one by one
    once it refused several.
    """

    position: int
    left: deque[str]
    commit_bytes: int
    is_complete: bool = True


class _Written(NamedTuple):
    """A stream as it is being written; None for what has ended."""

    stream: AnyStream | None
    layout: Layout | None


@dataclass(slots=True)
class Snapshots:
    """What was written of each active stream, and which have changed since.

    `changed` has None for those that have ended. `began` are positions of the events
    that all of a stream are after, `end` one that a stream that begins now is after.
    Checkpoints are withheld while a stream's events can't be folded: they would hide
    that stream from the next owner.
    """

    cadence: Cadence = Cadence()
    clock: Clock = SYSTEM_CLOCK
    layouts: dict[str, Layout] = field(default_factory=dict)
    changed: dict[str, AnyStream | None] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    end: int = 0
    knows_all: bool = False
    format_level: Callable[[], int] = newest_level
    evicted: int = 0
    is_withheld: bool = False
    written_bytes: int = 0
    due_s: float | None = None
    round: Round | None = None

    def mark_changed(self, name: str, stream: AnyStream) -> None:
        """Have a stream written in the next round."""
        if stream.state.is_terminal:
            self.changed[name] = None
            return
        self.changed[name] = stream
        if name not in self.began:
            self.began[name] = self.end

    def start_over(self, active: Mapping[str, AnyStream]) -> None:
        """Have these streams written, as no snapshots could be restored.

        What ended before counts as evicted.
        """
        self.layouts, self.changed = {}, dict(active)
        self.began = dict.fromkeys(active, 0)
        self.evicted = max(self.evicted, 1)

    async def write_next(self, partition: OwnedPartition, streams: StreamCache) -> None:
        """Write a bit, if it is time to.

        Must be called between commits of the partition, when all that was committed is
        marked. Raises FencedError.
        """
        if self.round is None:
            now_s, interval_s = self.clock.monotonic(), self.cadence.interval_s
            if self.due_s is None or (now_s >= self.due_s and not self.changed):
                self.due_s = now_s + interval_s
            if now_s < self.due_s:
                return
            self.due_s = now_s + interval_s
            position = await self._retry_transient(
                lambda: partition.end_position(topics.EVENTS)
            )
            self.round = Round(position, deque(self.changed), self.cadence.commit_bytes)
            if self.knows_all:
                self.end = position
        await self._write(self.round, partition, streams)
        if not self.round.left:
            done, self.round = self.round, None
            if done.is_complete and not self.is_withheld:
                await self._write_checkpoint(done.position, partition, streams)

    async def write_all(self, partition: OwnedPartition, streams: StreamCache) -> None:
        """Write all that has changed, for the next owner, as far as time allows.

        It ends between two commits; one that isn't answered is waited for as long
        again. A next owner that has begun already has read the events: nothing is lost.
        """
        timeout_s = self.cadence.shutdown_timeout_s
        until_s = self.clock.monotonic() + timeout_s
        self.round, self.due_s = None, self.clock.monotonic()
        try:
            async with self.clock.timeout(2 * timeout_s):
                while (self.changed or self.round) and self.clock.monotonic() < until_s:
                    await self.write_next(partition, streams)
                    if self.round is None:
                        return
        except (FencedError, PermanentError, TimeoutError) as error:
            log_.info("final_snapshot_skipped", at=partition.number, error=repr(error))

    async def _retry_transient(self, action: Callable[[], Awaitable[_T]]) -> _T:
        return await retry_transient(
            action, "snapshot_delayed", self.cadence.retry_s, clock=self.clock
        )

    async def _write(
        self, going: Round, partition: OwnedPartition, streams: StreamCache
    ) -> None:
        """Write some streams of a round; those that can't be stay marked."""
        records, size = list[Record](), 0
        taken = dict[str, _Written]()
        while going.left and (not taken or size < going.commit_bytes):
            name = going.left.popleft()
            stream = self.changed.pop(name)
            try:
                layout, found = self._records_of(name, stream, streams)
            except Exception:
                log_.exception("snapshot_failed", stream=name)
                self.changed.setdefault(name, stream)
                going.is_complete = False
                continue
            taken[name] = _Written(stream, layout)
            records += found
            size += sum(len(record.body) for record in found)
        try:
            await self._commit(partition, records)
        except PermanentError as error:
            self.changed = {n: w.stream for n, w in taken.items()} | self.changed
            if len(taken) > 1:
                going.left.extendleft(taken)
                going.commit_bytes = 0
                return
            log_.warning(
                "snapshot_rejected", error=str(error), stream=next(iter(taken))
            )
            going.is_complete = False
            return
        for name, written in taken.items():
            if written.layout is None:
                self.layouts.pop(name, None)
                self.began.pop(name, None)
            else:
                self.layouts[name] = written.layout

    def _records_of(
        self, name: str, stream: AnyStream | None, streams: StreamCache
    ) -> tuple[Layout | None, list[Record]]:
        if stream is None:
            return None, self._closing_records(name, streams)
        return self._records(name, stream)

    async def _write_checkpoint(
        self, position: int, partition: OwnedPartition, streams: StreamCache
    ) -> None:
        """Write that all is written up to a position; evict old closed streams."""
        old = [name for name in await _evictable(streams) if name not in self.changed]
        checkpoint = Checkpoint(
            events_offset=position, forgotten=self.evicted + len(old)
        )
        records = [_tombstone(name, name) for name in old]
        records.append(_record(CHECKPOINT, "", checkpoint))
        await self._commit(partition, records)
        streams.evict(old)
        self.evicted += len(old)

    async def _commit(
        self, partition: OwnedPartition, records: Sequence[Record]
    ) -> None:
        at = partition.number
        addressed = [replace(record, partition=at) for record in records]
        await self._retry_transient(lambda: partition.commit(addressed, None))
        self.written_bytes += sum(len(record.body) for record in addressed)

    def _began_after(self, name: str) -> int:
        """Return where a stream began, if every process can read that."""
        return self.began.get(name, 0) if self.format_level() >= BEGAN_LEVEL else 0

    def _closing_records(self, name: str, streams: StreamCache) -> list[Record]:
        """Return the records that leave nothing of a stream but how it ended."""
        layout = self.layouts.get(name)
        chunks = range(len(layout.written) if layout is not None else 0)
        records = [_tombstone(_key(name, number), name) for number in chunks]
        closed = streams.closed(name)
        if closed is not None:
            records.append(_record(name, name, closed))
        return records

    def _records(self, name: str, stream: AnyStream) -> tuple[Layout, list[Record]]:
        """Return how a stream is written by now, and the records that write it so."""
        snapshots = stream.kind.snapshots
        before = self.layouts.get(name, snapshots.empty)
        layout, chunks = snapshots.encode_chunks(
            before, stream.state, stream.sequence, self.cadence.chunk_limits
        )
        form = snapshots.name()
        records = [
            _record(
                _key(name, chunk.number),
                name,
                StreamChunk(
                    form=form,
                    number=chunk.number,
                    sequence=stream.sequence,
                    body=chunk.body,
                ),
            )
            for chunk in chunks
        ]
        head = StreamHead(
            form=form,
            sequence=stream.sequence,
            correlation=stream.correlation,
            last_us=stream.last_us,
            chunks=layout.written,
            body=snapshots.encode_head(stream.state),
            began_after=self._began_after(name),
        )
        return layout, [*records, _record(name, name, head)]


async def _evictable(streams: StreamCache) -> Sequence[str]:
    """Return closed streams to evict; none while the read models can't be reached."""
    try:
        return await streams.evictable()
    except TransientError as error:
        log_failure("closed_streams_not_evicted", error)
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

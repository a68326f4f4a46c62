"""Restoring a partition: snapshots and the tail are what the whole history folds to."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.graph import Definition
from domain.snapshots import ChunkLimits
from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.snapshots import Checkpoint, StreamChunk
from schemas.wire import codec
from tests.property.test_execution import commands, graphs
from tests.support.engine import CREATE, Engine, created
from tests.support.fakes import MemoryLog
from workers.propeller import restore
from workers.propeller.kinds.execution_closing import closed
from workers.propeller.kinds.executions import EXECUTIONS, ExecutionStream
from workers.propeller.loading.stream_cache import StreamCache
from workers.propeller.partition_state import PartitionState
from workers.propeller.snapshots import Cadence, Snapshots
from workers.propeller.stream_kinds import STREAM_KINDS

STREAMS, STEPS_MAX = 3, 40
CADENCE = Cadence(interval_s=0.0, commit_bytes=1, chunk_limits=ChunkLimits(items_max=2))


class LossyPartition:
    """An owned partition that takes snapshots; some never arrive."""

    number = 0

    def __init__(self, log: MemoryLog, data: st.DataObject) -> None:
        self.log, self.data = log, data
        self.lost = 0

    async def end_position(self, topic: str) -> int:
        """Return the end of a topic."""
        return (await self.log.end_positions((topic,)))[0]

    async def commit(self, records: list[Record], position: int | None) -> None:
        """Keep the records; sometimes a chunk is lost, or a checkpoint's commit."""
        assert position is None
        kinds = [type(codec.decode(r.body)) if r.body else None for r in records]
        for number, kind in enumerate(kinds):
            if kind not in {StreamChunk, Checkpoint}:
                continue
            if self.data.draw(st.integers(0, 9)) == 0:
                self.lost += 1
                is_chunk = kind is StreamChunk
                records = [*records[:number], *records[number + 1 :]] * is_chunk
                break
        await self.log.append(records)


class Harness:
    """Some executions on a log, and what writes their snapshots."""

    def __init__(self, log: MemoryLog, graph: Definition, data: st.DataObject) -> None:
        self.log, self.data = log, data
        self.partition = LossyPartition(log, data)
        self.engines = {
            f"execution/p/d/e{n}": Engine(graph, created(6, max_parallelism=3))
            for n in range(STREAMS)
        }
        self.streams: Any = None
        self.snapshots = Snapshots(CADENCE)
        self.take_over(PartitionState())

    def take_over(self, found: PartitionState) -> None:
        """Begin as another owner does, with what he found."""
        self.streams = StreamCache(self.log, STREAM_KINDS, closed_max=1)
        for stream, ending in found.closed.items():
            self.streams.put_closed(stream, ending)
        self.snapshots = Snapshots(CADENCE, layouts=found.layouts)
        self.snapshots.evicted = found.evicted
        self.snapshots.changed = {s: found.active.get(s) for s in found.changed}

    async def step(self) -> None:
        """Let an execution take a step, and keep its events."""
        stream = self.data.draw(st.sampled_from(sorted(self.engines)))
        engine = self.engines[stream]
        begun = bool(engine.events)
        possible = commands(engine) if begun else [CREATE]
        if not possible or engine.state.is_terminal:
            return
        command, known = self.data.draw(st.sampled_from(possible)), len(engine.events)
        if not isinstance(engine.decide(command, "create"), list):
            return
        engine.do(command, "create")
        await self.log.append(
            [
                _event(stream, number, event)
                for number, event in enumerate(engine.events[known:], known + 1)
            ]
        )
        live = self.live(stream)
        self.streams.put(stream, live)
        self.snapshots.mark_changed(stream, live)

    def live(self, stream: str) -> ExecutionStream:
        """Return an execution as all of its events fold to it."""
        engine = self.engines[stream]
        last_us = max(event.occurred_at_us for event in engine.events)
        return replace(
            EXECUTIONS.begin(),
            state=engine.state,
            sequence=len(engine.events),
            last_us=last_us,
        )

    def check(self, found: PartitionState) -> None:
        """Check that what was found is what the events say."""
        assert not found.broken
        for stream, engine in self.engines.items():
            if not engine.events:
                assert stream not in found.active
            elif engine.state.is_terminal:
                ending = closed(engine.state, len(engine.events))
                assert stream not in found.active
                assert found.closed.get(stream, ending) == ending
                assert stream in found.closed or found.evicted
            else:
                assert found.active[stream] == self.live(stream)


def _event(stream: str, sequence: int, event: Any) -> Record:
    name = codec.type_name(event)
    envelope = Envelope(
        id=f"{stream}/{sequence}", type=name, stream=stream, sequence=sequence
    )
    return Record(
        topic=topics.EVENTS, key=stream, envelope=envelope, body=codec.encode(event)
    )


@settings(max_examples=80, deadline=None)
@given(graph=graphs(), data=st.data())
def test_snapshots_and_the_tail_are_the_history(
    graph: Definition, data: st.DataObject
) -> None:
    """Whenever an owner is gone, whatever writes were lost, the next one has it all."""
    asyncio.run(_run(graph, data))


async def _run(graph: Definition, data: st.DataObject) -> None:
    log = MemoryLog(poll_s=0.0)
    await log.open()
    harness = Harness(log, graph, data)
    for _ in range(STEPS_MAX):
        await harness.step()
        for _ in range(data.draw(st.integers(0, 2))):
            await harness.snapshots.write_next(harness.partition, harness.streams)
        if data.draw(st.integers(0, 7)) == 0:
            found = await restore.read_partition(log, STREAM_KINDS, 0)
            harness.check(found)
            harness.take_over(found)
    harness.check(await restore.read_partition(log, STREAM_KINDS, 0))

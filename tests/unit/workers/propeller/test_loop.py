"""The propeller: what can't be kept or raises costs its stream, not its partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from domain.execution import decide
from domain.graph import Definition
from infra.blobs.files import BlobNotFoundError
from infra.errors import PermanentError
from infra.eventlog.contract import OwnedPartition, Record, Serve
from schemas import topics
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from tests.support.engine import success
from tests.support.fakes import MemoryLog
from tests.support.graphs import definition, launch_plan_node, task_template
from tests.support.harness import propeller_harness
from tests.support.harness.propeller_harness import Harness, stream_of
from workers.operations.redrive import Redriver
from workers.propeller.kinds.executions import EXECUTIONS, SNAPSHOTS
from workers.propeller.loop import Bounds
from workers.propeller.stream_kinds import StreamKinds

KEPT_MAX = 4_000
STOP = c.TerminateExecution(cause="enough")


class SmallLog(MemoryLog):
    """A log that keeps small records only, and one partition of several."""

    def __init__(self, *, homeless: str = "", topic: str = "") -> None:
        super().__init__(poll_s=0.02)
        self.homeless, self.topic = homeless, topic

    async def own(
        self, group: str, topic: str, serve: Serve, stop: asyncio.Event
    ) -> None:
        """Serve the one partition, which refuses what is too large for it."""

        async def small(partition: OwnedPartition, until: asyncio.Event) -> None:
            await serve(_Small(partition, self), until)

        await super().own(group, topic, small, stop)


class _Small:
    """A partition that refuses large records, and doesn't hold each key."""

    number = 0

    def __init__(self, partition: OwnedPartition, log: SmallLog) -> None:
        self.read, self.end_position = partition.read, partition.end_position
        self._commit, self._log = partition.commit, log

    async def holds(self, key: str) -> bool:
        """Return whether a key belongs here."""
        return key != self._log.homeless

    async def commit(self, records: Sequence[Record], position: int | None) -> None:
        """Append all, or refuse all."""
        if any(self._is_too_large(record) for record in records):
            raise PermanentError(
                "Expected a record that the log can keep, but it is large"
            )
        await self._commit(records, position)

    def _is_too_large(self, record: Record) -> bool:
        here = self._log.topic in {"", record.topic}
        return here and len(record.body) > KEPT_MAX


async def test_a_record_that_is_too_large_parks_its_stream_only() -> None:
    """The other commands of its batch are handled, and it lies with dead letters."""
    harness = Harness(SmallLog(topic=topics.EVENTS))
    one, two = await harness.create("one"), await harness.create("two")
    large = c.TerminateExecution(cause="x" * KEPT_MAX)
    await harness.send(one, large)
    await harness.send(two, STOP)
    async with harness.propeller():
        await harness.until_events(two, e.ExecutionAborted)
        (dead,) = await harness.until_dead_letters(1)
    assert isinstance((await harness.events(one))[-1], e.StreamParked)
    assert dead.body
    assert "it is large" in dead.error


async def test_what_cannot_be_kept_twice_stays_where_it_is() -> None:
    """For a command that fills a record alone the dead letter has location and size."""
    log = SmallLog()
    harness = Harness(log)
    one = await harness.create("one")
    await harness.send(one, c.TerminateExecution(cause="x" * KEPT_MAX * 2))
    async with harness.propeller():
        (dead,) = await harness.until_dead_letters(1)
    assert dead.body == b""
    assert "bytes were not copied" in dead.error
    assert (dead.topic, dead.position) == (topics.COMMANDS, 2)


async def test_a_key_in_a_foreign_partition_is_a_dead_letter() -> None:
    """Another partitioner's choice would give one stream two owners."""
    harness = Harness(SmallLog(homeless=stream_of("one")))
    async with harness.propeller():
        await harness.create("one")
        (dead,) = await harness.until_dead_letters(1)
    assert "own partitioner" in dead.error
    assert not await harness.events(stream_of("one"))


async def test_a_timer_that_raises_parks_its_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An internal command leaves no dead letter; the loop goes on."""

    def broken(_step: Any, _command: Any) -> None:
        raise ZeroDivisionError("the decider broke")

    monkeypatch.setitem(decide.ROUTES, c.ExpireLease, broken)
    harness = Harness(SmallLog())
    async with harness.propeller() as partitions:
        stream = await harness.create("one")
        run = await harness.run_of(stream, "n0")
        await harness.send(
            stream,
            c.ReportTaskStarted(
                node_id="n0",
                attempt=0,
                dispatch_no=run.dispatch_no,
                runner="r",
                incarnation="i1",
                started_at_us=1,
            ),
        )
        await harness.until_events(stream, ne.TaskStarted)
        beat = c.Heartbeat(runner="r", incarnation="i2", occurred_at_us=1)
        await harness.send("runner/r", beat)
        await harness.until_events(stream, e.StreamParked)
        other = await harness.create("two")
        await harness.until_events(other, e.ExecutionStarted)
        assert partitions.parked == 1
    assert not await harness.dead_letters()


async def test_a_transaction_has_a_bound_in_bytes() -> None:
    """A batch of commands is committed in parts, and each command once."""
    log, sizes = MemoryLog(poll_s=0.02), list[int]()
    harness = Harness(log)
    streams = [await harness.create(f"e{number}") for number in range(6)]
    insert = log._insert

    def measured(records: Sequence[Record], group: str | None, position: int) -> None:
        events = [r for r in records if r.topic == topics.EVENTS]
        sizes.append(len({r.envelope.stream for r in events}))
        insert(records, group, position)

    log._insert = measured  # type: ignore[method-assign]
    harness.bounds = Bounds(bytes_max=1)
    async with harness.propeller():
        await harness.run_of(streams[-1], "n0")

    assert [size for size in sizes if size] == [1] * len(streams)


class Losing(Harness):
    """A harness whose compiled workflows get lost."""

    is_lost = False

    async def load(self, blob: object) -> Definition:
        """Return the graph of every execution, while it is there."""
        if self.is_lost:
            raise BlobNotFoundError("Expected a blob at '.../closure', but none is")
        return await super().load(blob)


async def _leased(harness: Harness) -> str:
    """Return an execution whose first task a runner holds."""
    stream = await harness.create("one")
    beat = c.Heartbeat(runner="r", incarnation="i", occurred_at_us=1)
    await harness.send("runner/r", beat, reply=False)
    await harness.run_of(stream, "n0")
    await harness.send(
        stream,
        c.ReportTaskStarted(
            node_id="n0",
            attempt=0,
            dispatch_no=0,
            runner="r",
            incarnation="i",
            started_at_us=1,
        ),
    )
    await harness.until_events(stream, ne.TaskStarted)
    return stream


@pytest.mark.parametrize("folds", [True, False])
async def test_a_lost_closure_under_a_due_lease_parks_its_stream(folds: bool) -> None:
    """It costs no propeller that takes the partition up, and other streams go on."""
    harness = Losing(MemoryLog(poll_s=0.02), folds=folds)
    async with harness.propeller():
        stream = await _leased(harness)
    harness.is_lost = True
    async with harness.propeller():
        beat = c.Heartbeat(runner="r", incarnation="i2", occurred_at_us=1)
        await harness.send("runner/r", beat, reply=False)
        await harness.until_events(stream, e.StreamParked)
        other = await harness.create("two")
        await harness.until_events(other, e.ExecutionStarted)


@pytest.mark.parametrize("folds", [True, False])
async def test_a_stream_is_parked_once(folds: bool) -> None:
    """Of a lost closure each command is a dead letter; its return lets it go on."""
    harness = Losing(MemoryLog(poll_s=0.02), folds=folds)
    async with harness.propeller():
        stream = await harness.create("one")
        run = await harness.run_of(stream, "n0")
    harness.is_lost = True
    async with harness.propeller():
        await harness.send(stream, success(run))
        await harness.send(stream, STOP)
        await harness.until_dead_letters(2)
    async with harness.propeller():
        await harness.send(stream, STOP)
        await harness.until_dead_letters(3)
        kinds = [type(event) for event in await harness.events(stream)]
        assert kinds.count(e.StreamParked) == 1
        redriver = Redriver(log=harness.log, clock=harness.clock)
        done = await redriver.redrive([stream], [], "me")
        assert done.parked_again == [stream]
        harness.is_lost = False
        await redriver.redrive([stream], [], "me")
        await harness.until_events(stream, e.ExecutionAborted)
    kinds = [type(event) for event in await harness.events(stream)]
    assert kinds.count(e.StreamParked) == kinds.count(e.StreamResumed) == 2


async def test_garbage_too_large_to_copy_parks_nothing() -> None:
    """Bytes that are no command cost the stream of their key nothing."""
    harness = Harness(SmallLog())
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.send(stream, STOP, body=bytes(KEPT_MAX * 2))
        (dead,) = await harness.until_dead_letters(1)
        await harness.send(stream, STOP)
        await harness.until_events(stream, e.ExecutionAborted)
    assert dead.body == b""
    assert "single-object" in dead.error


@pytest.mark.parametrize("field", ["id", "actor", "traceparent", "correlation"])
async def test_an_enormous_header_is_shortened_in_its_dead_letter(field: str) -> None:
    """The dead letter and its answer repeat it, and must fit into the log."""
    harness = Harness(SmallLog())
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.send(stream, STOP, **{field: "x" * KEPT_MAX * 2})
        (dead,) = await harness.until_dead_letters(1)
        await harness.send(stream, STOP)
        await harness.until_events(stream, e.ExecutionAborted)
    assert len(getattr(dead, "id" if field == "id" else field)) < KEPT_MAX


async def test_a_state_that_cannot_be_written_withholds_the_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others' snapshots are written, and the next owner reads its events."""

    def broken(*args: Any) -> Any:
        if args[1].created.execution.name == "one":
            raise OverflowError("too large")
        return encode_chunks(*args)

    encode_chunks = SNAPSHOTS.encode_chunks
    kind = replace(EXECUTIONS, snapshots=replace(SNAPSHOTS, encode_chunks=broken))
    harness = Harness(
        MemoryLog(poll_s=0.02), folds=True, interval_s=0.01, kinds=StreamKinds(kind)
    )
    async with harness.propeller():
        one, two = await harness.create("one"), await harness.create("two")
        run = await harness.run_of(one, "n0")
        await harness.run_of(two, "n0")
        await asyncio.sleep(0.2)
    async with harness.propeller():
        await harness.send(one, success(run))
        await harness.run_of(one, "n1")


async def test_a_refused_child_fails_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A creation in a partition that isn't its own is never handled elsewhere."""
    nodes, tasks = [launch_plan_node("n0")], [task_template()]
    graph = definition(nodes, "n0", tasks=tasks)
    monkeypatch.setattr(propeller_harness, "chain", lambda: graph)
    harness = Harness(SmallLog(homeless=stream_of("one-n0-0")))
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionFailed)
        (dead,) = await harness.dead_letters()
    assert dead.answered == stream
    assert "own partitioner" in dead.error

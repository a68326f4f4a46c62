"""The propeller: what can't be kept or raises costs its stream, not its partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from domain.execution import decide
from infra.errors import PermanentError
from infra.eventlog.contract import OwnedPartition, Record, Serve
from schemas import topics
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from tests.support.fakes import MemoryLog
from tests.support.harness.propeller_harness import Harness, stream_of
from workers.propeller.loop import Bounds

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

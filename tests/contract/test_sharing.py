"""Reading a topic together on a broker, from positions kept elsewhere."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from infra.eventlog.contract import PartitionAssignment
from infra.postgres.pool import open_pool
from projections.positions import have_reached
from projections.projector.commit import Commit
from projections.projector.partitioned import PartitionedProjector
from projections.projector.projector import Projector
from projections.queries.executions import execution_counts
from schemas import topics as t
from schemas.ids import execution_of
from tests.contract.conftest import PARTITIONS, STREAMS, KafkaKind
from tests.contract.owning import owning
from tests.contract.records import command, event_record, ids
from tests.support.components.postgres import migrated_database
from tests.support.engine import created
from tests.support.memory_log import event_records

pytestmark = [pytest.mark.integration, pytest.mark.both, pytest.mark.timeout(120)]

SOON_S = 40


async def until_assigned(assignment: PartitionAssignment, count: int) -> frozenset[int]:
    """Wait until so many partitions are assigned."""
    async with asyncio.timeout(SOON_S):
        while len(assigned := await assignment.partitions()) != count:
            await asyncio.sleep(0.05)
    return assigned


async def test_reading_begins_where_its_user_says(kafka: KafkaKind) -> None:
    """Whatever the group may have kept; and again from elsewhere, when asked."""
    log = await kafka.open()
    records = [event_record(number, STREAMS[0]) for number in range(1, 6)]
    await log.append(records)
    async with log.join_group("g", t.EVENTS) as assignment:
        assigned = await until_assigned(assignment, PARTITIONS)
        await assignment.begin(dict.fromkeys(assigned, 0))
        first = []
        while len(first) < len(records):
            first += await assignment.read(100)
        third = first[2]
        await assignment.begin({third.partition: third.position})
        rest = []
        while len(rest) < 2:
            rest += await assignment.read(100)

    assert ids(first) == [record.envelope.id for record in records]
    assert ids(rest) == ids(first)[3:]


async def test_marks_of_commits_are_passed(kafka: KafkaKind) -> None:
    """Who has read everything is at the end, though the last thing is no message."""
    log = await kafka.open()
    await log.append([command("c1", STREAMS[0])])
    async with owning(log) as partition:
        await partition.commit([event_record(1, STREAMS[0])], None)
        await partition.commit([event_record(2, STREAMS[0])], None)
    end = await log.end_positions((t.EVENTS,))
    async with log.join_group("g", t.EVENTS) as assignment:
        assigned = await until_assigned(assignment, PARTITIONS)
        await assignment.begin(dict.fromkeys(assigned, 0))
        found = []
        async with asyncio.timeout(SOON_S):
            while await assignment.reached() != end:
                found += await assignment.read(100)
    last = found[-1]
    assert last.position < end[last.partition]


async def test_members_share_and_take_over(kafka: KafkaKind) -> None:
    """Two members read different partitions; what one leaves falls to the other."""
    one, other = await kafka.open(), await kafka.open()
    async with one.join_group("g", t.EVENTS) as first:
        await first.begin(dict.fromkeys(await until_assigned(first, PARTITIONS), 0))
        assert not first.is_reassigned()
        async with other.join_group("g", t.EVENTS) as second:
            others = await until_assigned(second, PARTITIONS // 2)
            assigned = await until_assigned(first, PARTITIONS // 2)
            assert first.is_reassigned()
            assert assigned | others == frozenset(range(PARTITIONS))
        await until_assigned(first, PARTITIONS)


class Slow(Projector):
    """A projector whose first commit of several partitions waits until it may go on."""

    began: asyncio.Event
    may_go_on: asyncio.Event

    async def _write(self, wanted: Commit) -> None:
        if len(wanted.to) > 1 and wanted.changes.journal:
            self.began.set()
            await self.may_go_on.wait()
        await Projector._write(self, wanted)


async def test_a_joining_projector_loses_no_events(kafka: KafkaKind) -> None:
    """It applies a partition that is in a batch of another one, which isn't stored."""
    log, pool = await kafka.open(), await open_pool(migrated_database(), size=4)
    await log.append(
        [
            record
            for stream in STREAMS
            for record in event_records(
                stream, [replace(created(), execution=execution_of(stream))]
            )
        ]
    )
    old, new = Slow(log, pool), Projector(log, pool)
    old.began, old.may_go_on = asyncio.Event(), asyncio.Event()
    running = [asyncio.create_task(PartitionedProjector(log, old).run())]
    try:
        async with asyncio.timeout(2 * SOON_S):
            await old.began.wait()
            running.append(asyncio.create_task(PartitionedProjector(log, new).run()))
            while not new.applied:
                await asyncio.sleep(0.02)
            old.may_go_on.set()
            end = await log.end_positions((t.EVENTS,))
            while not have_reached({**old.positions, **new.positions}, end):
                await asyncio.sleep(0.02)
        assert await execution_counts(pool) == {"QUEUED": len(STREAMS)}
    finally:
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await pool.close()

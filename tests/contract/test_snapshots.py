"""Snapshots of a partition on each kind of log: what is left for who comes next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from domain.snapshots import ChunkLimits
from infra.eventlog.contract import Log, Pages, Positions, Received, Record
from schemas import topics as t
from schemas.envelope import Envelope
from schemas.messages import execution_events as e
from schemas.messages.commands import TerminateExecution
from schemas.messages.snapshots import Checkpoint, StreamChunk, StreamClosed, StreamHead
from schemas.wire import codec
from tests.contract.owning import assert_gapless
from tests.contract.records import event_record
from tests.support.engine import CREATE, success
from tests.support.harness.propeller_harness import Harness, stream_of
from workers.propeller import restore

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def harness(log: Log) -> Harness:
    """Propellers that take snapshots all the time."""
    return Harness(
        log, folds=True, interval_s=0.00001, chunk_limits=ChunkLimits(items_max=1)
    )


async def _newest(log: Log) -> dict[str, Received]:
    newest: dict[str, Received] = {}
    async for batch in log.read_compacted(t.SNAPSHOTS, 0):
        newest |= {received.key: received for received in batch}
    return {key: received for key, received in newest.items() if received.body}


async def _said(log: Log) -> dict[str, Any]:
    return {key: codec.decode(r.body) for key, r in (await _newest(log)).items()}


async def _settled(harness: Harness) -> Checkpoint:
    """Wait until a checkpoint covers whatever has happened."""
    found: list[Checkpoint] = []

    async def covered() -> bool:
        said, end = (
            await _said(harness.log),
            (await harness.log.end_positions((t.EVENTS,)))[0],
        )
        point = said.get("checkpoint")
        if point is not None and point.events_offset == end:
            found.append(point)
        return bool(found)

    await harness.until(covered)
    return found[-1]


async def _ended(harness: Harness, name: str) -> str:
    stream = await harness.create(name)
    await harness.until_events(stream, e.ExecutionCreated)
    await harness.send(stream, TerminateExecution(cause="enough", principal="me"))
    await harness.until_events(stream, e.ExecutionAborted)
    return stream


async def test_only_what_came_later_is_read_again(harness: Harness) -> None:
    """A stream goes on from its snapshot; events before the checkpoint aren't read."""
    async with harness.propeller():
        stream = await harness.create("one")
        first = await harness.run_of(stream, "n0")
        point = await _settled(harness)
    found = await restore.read_partition(harness.log, harness.kinds, 0)
    assert found.after == point.events_offset
    assert not found.changed
    assert found.active[stream].sequence == len(await harness.events(stream))

    async with harness.propeller():
        await harness.send(stream, success(first))
        await harness.send(stream, success(await harness.run_of(stream, "n1")))
        await harness.until_events(stream, e.ExecutionSucceeded)
    await assert_gapless(harness.log, stream)


async def test_who_lets_go_leaves_all_that_changed(harness: Harness) -> None:
    """The next owner replays no events, however late the next round would be."""
    harness.interval_s = 3600.0
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.run_of(stream, "n0")
        assert not await _newest(harness.log)
    found = await restore.read_partition(harness.log, harness.kinds, 0)
    assert found.after == (await harness.log.end_positions((t.EVENTS,)))[0]
    assert found.active[stream].sequence == len(await harness.events(stream))


async def test_an_ended_stream_leaves_its_ending_alone(harness: Harness) -> None:
    """Only a few bytes are left of heads and chunks; late commands are dropped."""
    async with harness.propeller():
        stream = await harness.create("one")
        first = await harness.run_of(stream, "n0")
        await _settled(harness)
        kinds = {type(said) for said in (await _said(harness.log)).values()}
        assert kinds == {StreamHead, StreamChunk, Checkpoint}
        await harness.send(stream, TerminateExecution(cause="enough", principal="me"))
        await harness.until_events(stream, e.ExecutionAborted)
        await _settled(harness)
    newest = await _newest(harness.log)
    assert set(newest) == {stream, "checkpoint"}
    assert len(newest[stream].body) <= 100
    ending = codec.decode(newest[stream].body)
    assert isinstance(ending, StreamClosed)
    assert ending.last_sequence == len(await harness.events(stream))

    async with harness.propeller() as partitions:
        await harness.send(stream, success(first), reply=False)
        late = TerminateExecution(cause="again", principal="me")
        refused = await harness.send(stream, late)

        async def answered() -> bool:
            return refused in await harness.answers()

        await harness.until(answered)
        assert partitions.dropped == 1
    answer = (await harness.answers())[refused]
    assert answer.reason == "FAILED_PRECONDITION"
    assert len(await harness.events(stream)) == ending.last_sequence


async def test_a_forgotten_name_is_still_taken(harness: Harness) -> None:
    """The oldest endings are evicted, and looked up when their names come again."""
    harness.closed_max = 1
    async with harness.propeller():
        streams = [await _ended(harness, name) for name in ("one", "two", "three")]

        async def forgotten() -> bool:
            point = (await _said(harness.log)).get("checkpoint")
            return isinstance(point, Checkpoint) and point.forgotten == 2

        await harness.until(forgotten)
    left = set(await _newest(harness.log)) - {"checkpoint"}
    assert len(left & set(streams)) == 1

    async with harness.propeller():
        again = [
            await harness.send(stream_of(name), replace(CREATE, name=name))
            for name in ("one", "two", "three")
        ]

        async def refused() -> bool:
            answers = await harness.answers()
            return all(command in answers for command in again)

        await harness.until(refused)
    assert {(await harness.answers())[c].reason for c in again} == {"ALREADY_EXISTS"}


async def test_a_form_of_another_version_is_ignored(harness: Harness) -> None:
    """What this version can't read costs time and a word in the log, nothing else."""
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.run_of(stream, "n0")
        await _settled(harness)
    head = (await _said(harness.log))[stream]
    await harness.log.append([_kept(stream, codec.encode(replace(head, form="9-9")))])
    with capture_logs() as said:
        found = await restore.read_partition(harness.log, harness.kinds, 0)

    assert found.active[stream].sequence == len(await harness.events(stream))
    assert "snapshots_ignored" in {line["event"] for line in said}


async def _in_another_format(log: Log, **changed: object) -> None:
    """Have every state on the log look like one of another version."""
    for key, said in (await _said(log)).items():
        if isinstance(said, StreamHead | StreamChunk):
            stream = key.partition("#")[0]
            other = replace(said, form="9-9")
            if isinstance(other, StreamHead):
                other = replace(other, **changed)
            await log.append([_kept(key, codec.encode(other), stream)])


@dataclass(slots=True)
class _Counting:
    """A log that counts the events that are read from it."""

    log: Log
    events: int = 0

    def read_compacted(self, topic: str, partition: int) -> Pages:
        """Read as the log does."""
        return self.log.read_compacted(topic, partition)

    async def read_to_end(
        self, topic: str, after: Positions, limit: int, partition: int | None = None
    ) -> Pages:
        """Read as the log does, and count."""
        async for batch in self.log.read_to_end(topic, after, limit, partition):
            self.events += len(batch) if topic == t.EVENTS else 0
            yield batch


async def test_another_format_costs_what_lives_not_what_ever_ran(
    harness: Harness,
) -> None:
    """Heads say where their streams began, whatever they are written in."""
    async with harness.propeller():
        for number in range(10):
            await _ended(harness, f"ended-{number}")
        await _settled(harness)
        stream = await harness.create("lives")
        await harness.run_of(stream, "n0")
        await _settled(harness)
    before = await restore.read_partition(harness.log, harness.kinds, 0)
    await _in_another_format(harness.log)
    counting = _Counting(harness.log)

    found = await restore.read_partition(counting, harness.kinds, 0)

    assert found.active[stream].state == before.active[stream].state
    assert counting.events < 2 * len(await harness.events(stream))
    assert found.closed == before.closed


async def test_an_older_head_costs_no_memory_for_what_has_ended(
    harness: Harness,
) -> None:
    """It doesn't say where its stream began: all is read, but only that is folded."""
    harness.closed_max = 1
    async with harness.propeller():
        for number in range(5):
            await _ended(harness, f"ended-{number}")
        stream = await harness.create("lives")
        await harness.run_of(stream, "n0")

        async def forgotten() -> bool:
            point = (await _said(harness.log)).get("checkpoint")
            return isinstance(point, Checkpoint) and point.forgotten == 4

        await harness.until(forgotten)
    await _in_another_format(harness.log, began_after=0)

    found = await restore.read_partition(harness.log, harness.kinds, 0)

    assert found.active[stream].sequence == len(await harness.events(stream))
    assert len(found.closed) == 1
    assert found.evicted == 4


async def test_what_was_folded_again_is_written_in_todays_format(
    harness: Harness,
) -> None:
    """The next owner finds its state, and still where the stream began."""
    async with harness.propeller():
        await _ended(harness, "ended")
        await _settled(harness)
        stream = await harness.create("lives")
        first = await harness.run_of(stream, "n0")
        await _settled(harness)
    began = (await _said(harness.log))[stream].began_after
    await _in_another_format(harness.log)

    async with harness.propeller():
        await harness.send(stream, success(first))
        await harness.run_of(stream, "n1")
        await _settled(harness)
    found = await restore.read_partition(harness.log, harness.kinds, 0)
    head = (await _said(harness.log))[stream]

    assert not found.refolded
    assert found.active[stream].sequence == len(await harness.events(stream))
    assert 0 < head.began_after
    assert began <= head.began_after < found.after


async def test_older_processes_can_read_heads_until_the_gate_is_open(
    harness: Harness,
) -> None:
    """Where a stream began is a newer version of its head."""
    harness.format_level = 1
    async with harness.propeller():
        await _ended(harness, "ended")
        await _settled(harness)
        stream = await harness.create("lives")
        await harness.run_of(stream, "n0")
        await _settled(harness)
    head = (await _said(harness.log))[stream]

    assert head.began_after == 0
    assert codec.type_name(head) == "flightlog.v1.StreamHead"


async def test_a_missing_snapshot_is_folded_again(harness: Harness) -> None:
    """A stream without a snapshot that continues is read from its first event."""
    async with harness.propeller():
        stream = await harness.create("one")
        first = await harness.run_of(stream, "n0")
        await _settled(harness)
    harness.interval_s, harness.shutdown_timeout_s = 3600.0, 0.0  # as if it was killed
    async with harness.propeller():
        await harness.send(stream, success(first))
        await harness.run_of(stream, "n1")
    await harness.log.append([_kept(stream, b"")])
    found = await restore.read_partition(harness.log, harness.kinds, 0)

    assert found.active[stream].sequence == len(await harness.events(stream))


def _kept(key: str, body: bytes, stream: str = "") -> Record:
    envelope = Envelope(id=key, type="", stream=stream or key)
    return Record(topic=t.SNAPSHOTS, key=key, envelope=envelope, body=body, partition=0)


async def test_what_is_deleted_after_the_checkpoint_does_not_live(
    harness: Harness,
) -> None:
    """A crash right after a deletion doesn't bring the ended stream back."""
    async with harness.propeller():
        stream = await _ended(harness, "one")
        await _settled(harness)
    sequence = len(await harness.events(stream)) + 1
    gone = e.ExecutionDeleted(occurred_at_us=1, phase="ABORTED", principal="me")
    record = event_record(sequence, stream, codec.encode(gone))
    envelope = replace(record.envelope, type=codec.type_name(gone))
    await harness.log.append([replace(record, envelope=envelope)])

    found = await restore.read_partition(harness.log, harness.kinds, 0)

    assert stream not in found.active
    assert found.closed[stream].is_deleted
    assert found.closed[stream].last_sequence == sequence

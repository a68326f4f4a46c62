"""Taking up a partition by folding its events, on each kind of log."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from infra.eventlog.contract import Log
from schemas import topics as t
from schemas.messages import execution_events as e
from schemas.messages import node_events as ne
from schemas.messages.commands import TerminateExecution
from schemas.wire import codec
from tests.contract.owning import assert_gapless
from tests.contract.records import event_record
from tests.support.engine import CREATE, success
from tests.support.harness.propeller_harness import Harness, stream_of

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def harness(log: Log) -> Harness:
    """Propellers that restore by folding."""
    return Harness(log, folds=True)


async def test_a_stream_goes_on_where_it_was(harness: Harness) -> None:
    """What lives is in memory before the first command, and ends as it would have."""
    async with harness.propeller():
        stream = await harness.create("one")
        first = await harness.run_of(stream, "n0")
    async with harness.propeller() as partitions:
        await harness.until(lambda: _is(partitions.active == 1))
        await harness.send(stream, success(first))
        second = await harness.run_of(stream, "n1")
        await harness.send(stream, success(second))
        await harness.until_events(stream, e.ExecutionSucceeded)

    await assert_gapless(harness.log, stream)


async def test_a_name_is_taken_for_ever(harness: Harness) -> None:
    """An ended stream's name isn't free, though memory no longer has its ending."""
    harness.closed_max = 1
    async with harness.propeller():
        for name in ("one", "two"):
            stream = await harness.create(name)
            await harness.until_events(stream, e.ExecutionCreated)
            await harness.send(
                stream, TerminateExecution(cause="enough", principal="me")
            )
            await harness.until_events(stream, e.ExecutionAborted)
    async with harness.propeller():
        again = [
            await harness.send(stream_of(name), replace(CREATE, name=name))
            for name in ("one", "two")
        ]

        async def refused() -> bool:
            answers = await harness.answers()
            return all(command in answers for command in again)

        await harness.until(refused)
    assert {(await harness.answers())[c].reason for c in again} == {"ALREADY_EXISTS"}


async def test_a_new_stream_costs_no_look_at_the_log(harness: Harness) -> None:
    """What isn't in memory is new: nothing is read to find that out."""
    async with harness.propeller() as partitions:
        await harness.until(lambda: _is(partitions.served))
        streams = partitions.served[0].streams
        streams._log = None  # type: ignore[assignment]
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionCreated)


async def test_what_can_not_be_folded_costs_itself_alone(harness: Harness) -> None:
    """The commands of a stream with a gap become dead letters; others go on."""
    broken = stream_of("broken")
    orphan = ne.NodeStarted(occurred_at_us=1, node_id="n7")
    record = event_record(1, broken, codec.encode(orphan))
    envelope = replace(record.envelope, type=codec.type_name(orphan))
    await harness.log.append([replace(record, envelope=envelope)])
    async with harness.propeller():
        await harness.send(broken, replace(CREATE, name="broken"))
        await harness.until_dead_letters(1)
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionCreated)
    assert t.COMMANDS == (await harness.dead_letters())[0].topic


async def _is(value: object) -> object:
    return value

"""A second kind of stream beside executions, on each kind of log."""

from __future__ import annotations

from typing import Any

import pytest

from domain.snapshots import ChunkLimits
from infra.eventlog.contract import Log
from schemas import topics
from schemas.messages import execution_events as e
from schemas.messages.snapshots import StreamClosed, StreamHead
from schemas.wire import codec
from tests.contract.owning import assert_gapless
from tests.support.counters import kind as counters
from tests.support.counters.kind import Counter
from tests.support.counters.messages import (
    CODEC,
    AdditionDelayed,
    AddToCounter,
    CloseCounter,
    CounterAdded,
    CounterClosed,
)
from tests.support.harness.propeller_harness import Harness
from workers.operations.audit import Audit
from workers.operations.redrive import Redriver
from workers.propeller import restore

pytestmark = pytest.mark.timeout(120)
ONE, TWO = "counter/one", "counter/two"
LATER_US = 3600 * 1_000_000


@pytest.fixture
def harness(log: Log) -> Harness:
    """Propellers of executions and counters that take snapshots all the time."""
    return Harness(
        log,
        folds=True,
        interval_s=0.00001,
        chunk_limits=ChunkLimits(items_max=1),
        kinds=counters.KINDS,
    )


async def _value(harness: Harness, stream: str) -> int:
    state = Counter()
    for event in await harness.events(stream):
        state = counters.evolve(state, event)
    return state.value


async def _until_value(harness: Harness, stream: str, value: int) -> None:
    async def reached() -> bool:
        return await _value(harness, stream) == value

    await harness.until(reached)


async def test_counters_and_executions_run_side_by_side(harness: Harness) -> None:
    """Each stream is decided by its kind, and a command may go to another stream."""
    async with harness.propeller() as partitions:
        execution = await harness.create("one")
        await harness.send(ONE, AddToCounter(amount=5, forward_to=TWO))
        await harness.send(ONE, AddToCounter(amount=2))
        await _until_value(harness, ONE, 7)
        await _until_value(harness, TWO, 5)
        await harness.run_of(execution, "n0")

        assert partitions.active == 3
    (forwarded,) = await harness.log.stream(TWO)
    assert forwarded.envelope.id == f"{TWO}/1"
    assert forwarded.envelope.causation == f"{ONE}/1/0"
    assert forwarded.envelope.correlation == ONE


async def test_a_counter_goes_on_from_its_snapshot(harness: Harness) -> None:
    """Head and chunk are read again; a delayed addition comes at its time after all."""
    async with harness.propeller():
        await harness.send(ONE, AddToCounter(amount=1))
        await harness.send(ONE, AddToCounter(amount=10, delay_us=LATER_US))
        await harness.until_events(ONE, AdditionDelayed)
    found = await restore.read_partition(harness.log, harness.kinds, 0)
    assert found.active[ONE].state.value == 1
    assert len(found.active[ONE].state.pending) == 1
    assert not found.changed

    harness.clock.now += LATER_US
    async with harness.propeller():
        await harness.send(ONE, AddToCounter(amount=1))
        await _until_value(harness, ONE, 12)
    await assert_gapless(harness.log, ONE)


async def test_a_closed_counter_stays_closed(harness: Harness) -> None:
    """Nothing is left in snapshots but how it ended; its name stays taken."""
    async with harness.propeller():
        await harness.send(ONE, AddToCounter(amount=1))
        await harness.until_events(ONE, CounterAdded)
        await harness.send(ONE, CloseCounter())
        await harness.until_events(ONE, CounterClosed)
    newest = await _newest(harness)
    assert isinstance(newest[ONE], StreamClosed)
    assert not any(key.startswith(f"{ONE}#") for key in newest)

    async with harness.propeller():
        late = await harness.send(ONE, AddToCounter(amount=1))

        async def answered() -> bool:
            return late in await harness.answers()

        await harness.until(answered)
    assert (await harness.answers())[late].reason == "FAILED_PRECONDITION"


async def test_a_counter_that_breaks_parks_alone_and_is_redriven(
    harness: Harness,
) -> None:
    """Its later commands are dead letters in order; redriving brings it back."""
    async with harness.propeller() as partitions:
        await harness.send(ONE, AddToCounter(amount=1))
        await harness.send(ONE, AddToCounter(amount=counters.BROKEN))
        refused = await harness.send(ONE, AddToCounter(amount=2))
        await harness.send(TWO, AddToCounter(amount=3))
        await _until_value(harness, TWO, 3)
        await harness.until_dead_letters(2)
        assert partitions.parked == 1
        assert "Expected counter 'one'" in (await harness.answers())[refused].detail

        redriver = Redriver(log=harness.log, clock=harness.clock, messages=CODEC)
        done = await redriver.redrive([ONE], [], "me")
        assert done.parked_again == [ONE]
        assert not done.left
    assert await _value(harness, ONE) == 1


async def test_the_audit_knows_counters(harness: Harness) -> None:
    """A log of both kinds passes; what a kind forbids is found in it."""
    async with harness.propeller():
        execution = await harness.create("one")
        await harness.send(ONE, AddToCounter(amount=1))
        await harness.until_events(ONE, CounterAdded)
        await harness.until_events(execution, e.ExecutionStarted)
    assert await _audited(harness) == []

    async with harness.propeller():
        await harness.send(ONE, AddToCounter(amount=-5))
        await _until_value(harness, ONE, -4)
    assert await _audited(harness) == ["Expected a value of 0 or more, but it is -4"]


async def _audited(harness: Harness) -> list[str]:
    audit = Audit(harness.kinds)
    found = [f for r in await harness.read(topics.EVENTS) for f in audit.take(r)]
    assert audit.phases()[ONE] == counters.OPEN
    return [finding.what for finding in (*found, *audit.end())]


async def _newest(harness: Harness) -> dict[str, Any]:
    newest: dict[str, Any] = {}
    async for batch in harness.log.read_compacted(topics.SNAPSHOTS, 0):
        newest |= {received.key: received.body for received in batch}
    found = {key: codec.decode(body) for key, body in newest.items() if body}
    assert all(m.form == "counter-1" for m in found.values() if type(m) is StreamHead)
    return found

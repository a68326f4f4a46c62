"""What a newer version wrote is kept for it; anything else that is unknown is not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from infra.eventlog.contract import Log
from infra.newer_messages import NewerMessage
from schemas import topics
from schemas.messages import execution_events as e
from tests.contract.conftest import KafkaKind
from tests.support.counters import kind as counters
from tests.support.counters.messages import CODEC, AddToCounter, CounterAdded
from tests.support.harness.propeller_harness import SOON_S, Harness

pytestmark = pytest.mark.timeout(120)
ONE = "counter/one"


@dataclass(slots=True)
class Announced:
    """What the version gate knows: schemas of newer versions, and who reads them."""

    schemas: dict[str, NewerMessage] = field(default_factory=dict)
    is_read: bool = False

    async def find(self, fingerprint: str) -> NewerMessage | None:
        """Return what was announced."""
        return self.schemas.get(fingerprint)

    async def has_reader(self, message: NewerMessage) -> bool:
        """Return whether a newer process runs."""
        del message
        return self.is_read


@pytest.fixture
def newer() -> Announced:
    """A version that knows counters announced them, and doesn't run yet."""
    body = CODEC.encode(AddToCounter(amount=1))
    message = NewerMessage("flightlog.v1.AddToCounter", 9)
    return Announced({body[2:10].hex(): message})


async def _send(harness: Harness, stream: str = ONE) -> None:
    add = AddToCounter(amount=5)
    await harness.send(stream, add, body=CODEC.encode(add))


async def _until_held(harness: Harness, count: int = 1) -> None:
    async def held() -> bool:
        return harness.partitions is not None and harness.partitions.held == count

    await harness.until(held)


async def test_a_partition_waits_with_what_a_newer_version_wrote(
    log: Log, newer: Announced
) -> None:
    """What came before is committed; neither that nor what follows is passed."""
    harness = Harness(log, folds=True, newer=newer)
    async with harness.propeller():
        before = await harness.create("before")
        await _send(harness)
        after = await harness.create("after")
        await _until_held(harness)
        await harness.until_events(before, e.ExecutionCreated)
        position = await log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)

    assert not await harness.events(after)
    assert not await harness.dead_letters()
    newest = Harness(log, folds=True, kinds=counters.KINDS)
    assert position == await log.positions(topics.PROPELLER_GROUP, topics.COMMANDS)
    async with newest.propeller():
        await newest.until_events(ONE, CounterAdded)
        await newest.until_events(after, e.ExecutionCreated)


async def test_what_no_version_announced_is_a_dead_letter(log: Log) -> None:
    """An unknown schema alone holds nothing up: anybody may write anything."""
    harness = Harness(log, folds=True, newer=Announced())
    async with harness.propeller() as partitions:
        await _send(harness)
        stream = await harness.create("after")
        await harness.until_events(stream, e.ExecutionCreated)

        assert partitions.held == 0
    assert len(await harness.dead_letters()) == 1


async def test_an_event_of_a_newer_version_holds_its_partition(
    log: Log, newer: Announced
) -> None:
    """A state can't be folded without it, so nothing of the partition is handled."""
    newest = Harness(log, folds=True, kinds=counters.KINDS)
    async with newest.propeller():
        await newest.send(ONE, AddToCounter(amount=5))
        await newest.until_events(ONE, CounterAdded)
    (event,) = await log.stream(ONE)
    newer.schemas[event.body[2:10].hex()] = NewerMessage("flightlog.v1.CounterAdded", 9)
    older = Harness(log, folds=True, newer=newer)
    async with older.propeller() as partitions:
        await _until_held(older)

        assert not partitions.served


@pytest.mark.integration
async def test_a_partition_goes_to_a_process_that_can_read_it(
    kafka_servers: str, newer: Announced
) -> None:
    """The one that can't leaves the group for a while, once the other one runs."""
    kind = KafkaKind(kafka_servers)
    kind.settings = kind.settings.model_copy(update={"given_up_s": 3600.0})
    older = Harness(await kind.open(), folds=True, newer=newer)
    newest = Harness(await kind.open(), folds=True, kinds=counters.KINDS)
    try:
        async with older.propeller() as partitions:
            await _send(older)
            await _until_held(older)
            async with newest.propeller():
                newer.is_read = True
                await newest.until_events(ONE, CounterAdded)
                async with asyncio.timeout(SOON_S):
                    while partitions.served:
                        await asyncio.sleep(0.05)
        assert not await older.dead_letters()
    finally:
        for log in kind.logs:
            await log.close()

"""Poison: what can't be read or handled costs one command or one stream, no more."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from domain.execution import decide
from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages import commands as c
from schemas.messages import execution_events as e
from schemas.messages.outcomes import CommandHadNoEffect, CommandRejected
from schemas.wire import codec
from tests.contract.conftest import KafkaKind
from tests.support.engine import CREATE, success
from tests.support.harness.propeller_harness import House, stream_of
from workers import dead_letters

DAY_US = 24 * 3600 * 1_000_000
POISON = c.ReportChild(node_id="n0", attempt=0, child="p/d/x", phase="QUEUED")
STOP = c.TerminateExecution(cause="enough")


@pytest.fixture
def house(log: Any) -> House:
    """A house on each kind of log."""
    return House(log)


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the decider raise at every ReportChild."""

    def broken(_step: Any, _command: Any) -> None:
        raise ZeroDivisionError("the decider broke")

    monkeypatch.setitem(decide.ROUTES, c.ReportChild, broken)


WHOLE = codec.encode(STOP)
DAMAGED = {
    "garbage": (b"\x00garbage", "single-object"),
    "truncated": (WHOLE[:-2], "damaged"),
    "unknown fingerprint": (b"\xc3\x01" + b"\x07" * 8 + b"?", "0707070707070707"),
    "a newer version": (
        codec.MARKER + b"\xfe\xed\xfa\xce\xfe\xed\xfa\xce" + WHOLE[10:],
        "written by a newer version",
    ),
    "more than a message": (WHOLE + b"\x00", "1 bytes follow"),
    "an event": (
        codec.encode(e.ExecutionStarted(occurred_at_us=1)),
        "Expected a command, but ExecutionStarted is none",
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
async def test_what_cannot_be_read_is_put_aside_whole(house: House, what: str) -> None:
    """Place, error and original bytes are kept; its sender is told; the next one runs."""
    body, words = DAMAGED[what]
    async with house.propeller():
        bad = await house.send(stream_of("one"), STOP, body=body)
        stream = await house.create("one")
        await house.until_events(stream, e.ExecutionStarted)
        (dead,) = await house.letters()
        assert house.partitions is not None
        assert house.partitions.dead_letters == 1
    assert dead.body == body
    assert words in dead.error
    assert (dead.topic, dead.partition, dead.position) == (topics.COMMANDS, 0, 1)
    assert (dead.id, dead.key) == (bad, stream)
    answer = (await house.answers())[bad]
    assert isinstance(answer, CommandRejected)
    assert answer.reason == "INVALID_ARGUMENT"
    assert words in answer.detail


ONE = stream_of("one")
NOT_ALLOWED = {
    "no key": (ONE, "", STOP, "but it has no key"),
    "another key": (ONE, stream_of("two"), STOP, "to be the stream"),
    "no execution": ("x", "x", STOP, "a stream of an execution"),
    "another's name": (ONE, ONE, replace(CREATE, name="two"), "Expected the key"),
    "a timer": (ONE, ONE, c.TimeReached(timer_id="n0/0/1"), "the engine's own"),
}


@pytest.mark.parametrize("what", NOT_ALLOWED)
async def test_what_is_not_allowed_is_put_aside(house: House, what: str) -> None:
    """A command that may not come this way is kept, and changes nothing."""
    to, key, command, words = NOT_ALLOWED[what]
    async with house.propeller():
        stream = await house.create("one")
        await house.send(to, command, key=key)
        await house.until_letters(1)
        await house.send(stream, STOP)
        await house.until_events(stream, e.ExecutionAborted)
    (dead,) = await house.letters()
    assert words in dead.error
    assert not await house.events(stream_of("two"))


async def test_a_decider_that_raises_parks_its_stream_only(
    house: House, poison: None
) -> None:
    """Later commands of the stream are put aside in order; other streams go on."""
    async with house.propeller():
        stream, other = await house.create("one"), await house.create("two")
        run, others = await house.run_of(stream, "n0"), await house.run_of(other, "n0")
        bad = await house.send(stream, POISON)
        report = await house.send(stream, success(run))
        stop = await house.send(stream, STOP)
        await house.send(other, success(others))
        await house.run_of(other, "n1")
        dead = await house.until_letters(3)
        assert house.partitions is not None
        assert house.partitions.parked == 1
    assert [letter.id for letter in dead] == [bad, report, stop]
    assert "the decider broke" in dead[0].error
    parked = (await house.events(stream))[-1]
    assert isinstance(parked, e.StreamParked)
    assert (parked.command_id, parked.command_type) == (bad, "flightlog.v1.ReportChild")
    answers = await house.answers()
    assert answers[bad].reason == "INTERNAL"
    assert answers[stop].reason == "FAILED_PRECONDITION"
    assert "lies with the dead letters" in answers[stop].detail


async def test_a_parked_stream_stays_parked_and_goes_on_when_resumed(
    house: House, poison: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart forgets nothing; what was put aside is put back in order, and runs."""
    async with house.propeller():
        stream = await house.create("one")
        run = await house.run_of(stream, "n0")
        await house.send(stream, POISON)
        await house.until_letters(1)
    async with house.propeller():
        await house.send(stream, success(run))
        dead = await house.until_letters(2)
    monkeypatch.undo()
    resume = c.ResumeStream(principal="somebody")
    async with house.propeller():
        await house.send(stream, resume)
        found = await house.read(topics.DEAD_LETTERS)
        await house.log.append(
            [
                dead_letters.redriven_record(letter, kept.envelope.id, 1)
                for kept, letter in zip(found, dead, strict=True)
            ]
        )
        second = await house.run_of(stream, "n1")
        await house.send(stream, success(second))
        await house.until_events(stream, e.ExecutionSucceeded)
    kinds = [type(event_record) for event_record in await house.events(stream)]
    assert kinds.count(e.StreamParked) == kinds.count(e.StreamResumed) == 1
    assert len(await house.letters()) == 2


async def test_what_cannot_be_created_costs_nothing_else(house: House) -> None:
    """A creation that breaks is put aside; there is no stream to park."""
    async with house.propeller():
        boom = await house.create("boom")
        one = await house.create("one")
        await house.until_events(one, e.ExecutionStarted)
    assert not await house.events(boom)
    (dead,) = await house.letters()
    assert "the hydration broke" in dead.error


async def test_the_first_of_two_commands_with_one_id_counts(house: House) -> None:
    """Another body under a known id changes nothing, on whichever log."""
    async with house.propeller():
        stream = await house.create("one", id="same")
        await house.until_events(stream, e.ExecutionStarted)
        await house.create("one", id="same", body=codec.encode(_other_inputs()))
        await house.send(stream, STOP)
        await house.until_events(stream, e.ExecutionAborted)
    events = await house.events(stream)
    assert (
        sum(isinstance(event_record, e.ExecutionCreated) for event_record in events)
        == 1
    )
    answer = (await house.answers()).get("same")
    assert answer is None or isinstance(answer, CommandHadNoEffect)
    assert not await house.letters()


def _other_inputs() -> c.CreateExecution:
    return replace(CREATE, name="one", inputs=b"\x0a\x00")


async def test_commands_for_unknown_executions_are_answered_or_dropped(
    house: House,
) -> None:
    """A wish is refused with a word; a report is dropped and counted."""
    async with house.propeller() as partitions:
        wish = await house.send(stream_of("none"), STOP)
        await house.send(stream_of("none"), POISON, reply=False)
        stream = await house.create("one")
        await house.until_events(stream, e.ExecutionStarted)
        assert partitions.dropped == 1
    answer = (await house.answers())[wish]
    assert answer.reason == "NOT_FOUND"
    assert not await house.letters()


async def test_a_clock_that_jumps_a_day_back_turns_no_time_back(house: House) -> None:
    """Events of a stream never run backwards, whatever the owner's clock says."""
    async with house.propeller():
        stream = await house.create("one", recorded_at_us=house.clock.now + DAY_US)
        run = await house.run_of(stream, "n0")
    house.clock.now -= DAY_US
    async with house.propeller():
        await house.send(stream, success(run))
        await house.run_of(stream, "n1")
    times = [event_record.occurred_at_us for event_record in await house.events(stream)]
    assert times == sorted(times)
    assert times[0] < house.clock.now + 2 * DAY_US


async def test_a_event_that_cannot_be_read_stops_its_reader(house: House) -> None:
    """Skipping it would corrupt what follows: the propeller ends with a clear word."""
    async with house.propeller():
        stream = await house.create("one")
        await house.until_events(stream, e.ExecutionStarted)
        sequence = len(await house.events(stream)) + 1
    envelope = Envelope(
        id=f"{stream}/{sequence}", type="?", stream=stream, sequence=sequence
    )
    newer = codec.MARKER + b"\x07" * 8
    spoiled = Record(topic=topics.EVENTS, key=stream, envelope=envelope, body=newer)
    await house.log.append([spoiled])
    await house.send(stream, STOP)
    with pytest.raises(
        codec.UndecodableMessageError, match="written by a newer version"
    ):
        async with house.propeller():
            await house.until_letters(1)


@pytest.mark.integration
async def test_a_letter_that_kafka_cannot_keep_tells_where_its_bytes_are(
    kafka_servers: str,
) -> None:
    """Bytes that fill a record alone stay behind; the partition goes on."""
    kind = KafkaKind(kafka_servers)
    limit = 50_000
    kind.settings = kind.settings.model_copy(update={"message_bytes_max": limit})
    house = House(await kind.open())
    try:
        async with house.propeller():
            body = bytes(limit - 400)
            await house.send(stream_of("one"), STOP, body=body, reply=False)
            (dead,) = await house.until_letters(1)
            stream = await house.create("one")
            await house.until_events(stream, e.ExecutionStarted)
    finally:
        for log in kind.logs:
            await log.close()
    assert dead.body == b""
    assert f"its {limit - 400} bytes were not copied" in dead.error

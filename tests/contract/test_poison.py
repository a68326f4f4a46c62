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
from tests.support.harness.propeller_harness import Harness, stream_of
from workers import dead_letters

DAY_US = 24 * 3600 * 1_000_000
POISON = c.ReportChild(node_id="n0", attempt=0, child="p/d/x", phase="QUEUED")
STOP = c.TerminateExecution(cause="enough")


@pytest.fixture
def harness(log: Any) -> Harness:
    """A harness on each kind of log."""
    return Harness(log)


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
async def test_what_cannot_be_decoded_is_a_dead_letter(
    harness: Harness, what: str
) -> None:
    """Location, error and bytes are kept, the sender gets an outcome, the next runs."""
    body, words = DAMAGED[what]
    async with harness.propeller():
        bad = await harness.send(stream_of("one"), STOP, body=body)
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionStarted)
        (dead,) = await harness.dead_letters()
        assert harness.partitions is not None
        assert harness.partitions.dead_letters == 1
    assert dead.body == body
    assert words in dead.error
    assert (dead.topic, dead.partition, dead.position) == (topics.COMMANDS, 0, 1)
    assert (dead.id, dead.key) == (bad, stream)
    answer = (await harness.answers())[bad]
    assert isinstance(answer, CommandRejected)
    assert answer.reason == "INVALID_ARGUMENT"
    assert words in answer.detail


ONE = stream_of("one")
NOT_ALLOWED = {
    "no key": (ONE, "", STOP, "but it has no key"),
    "another key": (ONE, stream_of("two"), STOP, "to be the stream"),
    "no execution": ("x", "x", STOP, "a stream of a known kind"),
    "another's name": (ONE, ONE, replace(CREATE, name="two"), "Expected the key"),
    "a timer": (ONE, ONE, c.TimeReached(timer_id="n0/0/1"), "the engine's own"),
}


@pytest.mark.parametrize("what", NOT_ALLOWED)
async def test_what_is_not_allowed_is_a_dead_letter(
    harness: Harness, what: str
) -> None:
    """A command that may not come this way is kept, and changes nothing."""
    to, key, command, words = NOT_ALLOWED[what]
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.send(to, command, key=key)
        await harness.until_dead_letters(1)
        await harness.send(stream, STOP)
        await harness.until_events(stream, e.ExecutionAborted)
    (dead,) = await harness.dead_letters()
    assert words in dead.error
    assert not await harness.events(stream_of("two"))


async def test_a_decider_that_raises_parks_its_stream_only(
    harness: Harness, poison: None
) -> None:
    """Later commands of the stream are dead letters, in order; other streams go on."""
    async with harness.propeller():
        stream, other = await harness.create("one"), await harness.create("two")
        run, others = (
            await harness.run_of(stream, "n0"),
            await harness.run_of(other, "n0"),
        )
        bad = await harness.send(stream, POISON)
        report = await harness.send(stream, success(run))
        stop = await harness.send(stream, STOP)
        await harness.send(other, success(others))
        await harness.run_of(other, "n1")
        dead = await harness.until_dead_letters(3)
        assert harness.partitions is not None
        assert harness.partitions.parked == 1
    assert [dead_letter.id for dead_letter in dead] == [bad, report, stop]
    assert "the decider broke" in dead[0].error
    parked = (await harness.events(stream))[-1]
    assert isinstance(parked, e.StreamParked)
    assert (parked.command_id, parked.command_type) == (bad, "flightlog.v1.ReportChild")
    answers = await harness.answers()
    assert answers[bad].reason == "INTERNAL"
    assert answers[stop].reason == "FAILED_PRECONDITION"
    assert "stored as a dead letter" in answers[stop].detail


async def test_a_parked_stream_stays_parked_and_goes_on_when_resumed(
    harness: Harness, poison: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart dead letters are redriven in order, and their executions run."""
    async with harness.propeller():
        stream = await harness.create("one")
        run = await harness.run_of(stream, "n0")
        await harness.send(stream, POISON)
        await harness.until_dead_letters(1)
    async with harness.propeller():
        await harness.send(stream, success(run))
        dead = await harness.until_dead_letters(2)
    monkeypatch.undo()
    resume = c.ResumeStream(principal="somebody")
    async with harness.propeller():
        await harness.send(stream, resume)
        found = await harness.read(topics.DEAD_LETTERS)
        await harness.log.append(
            [
                dead_letters.redriven_record(dead_letter, kept.envelope.id, 1)
                for kept, dead_letter in zip(found, dead, strict=True)
            ]
        )
        second = await harness.run_of(stream, "n1")
        await harness.send(stream, success(second))
        await harness.until_events(stream, e.ExecutionSucceeded)
    kinds = [type(event_record) for event_record in await harness.events(stream)]
    assert kinds.count(e.StreamParked) == kinds.count(e.StreamResumed) == 1
    assert len(await harness.dead_letters()) == 2


async def test_what_cannot_be_created_costs_nothing_else(harness: Harness) -> None:
    """A creation that breaks is a dead letter; there is no stream to park."""
    async with harness.propeller():
        boom = await harness.create("boom")
        one = await harness.create("one")
        await harness.until_events(one, e.ExecutionStarted)
    assert not await harness.events(boom)
    (dead,) = await harness.dead_letters()
    assert "the loader broke" in dead.error


async def test_the_first_of_two_commands_with_one_id_counts(harness: Harness) -> None:
    """Another body under a known id changes nothing, on whichever log."""
    async with harness.propeller():
        stream = await harness.create("one", id="same")
        await harness.until_events(stream, e.ExecutionStarted)
        await harness.create("one", id="same", body=codec.encode(_other_inputs()))
        await harness.send(stream, STOP)
        await harness.until_events(stream, e.ExecutionAborted)
    events = await harness.events(stream)
    assert (
        sum(isinstance(event_record, e.ExecutionCreated) for event_record in events)
        == 1
    )
    answer = (await harness.answers()).get("same")
    assert answer is None or isinstance(answer, CommandHadNoEffect)
    assert not await harness.dead_letters()


def _other_inputs() -> c.CreateExecution:
    return replace(CREATE, name="one", inputs=b"\x0a\x00")


async def test_commands_for_unknown_executions_are_answered_or_dropped(
    harness: Harness,
) -> None:
    """A user's command is rejected; a report is dropped and counted."""
    async with harness.propeller() as partitions:
        command = await harness.send(stream_of("none"), STOP)
        await harness.send(stream_of("none"), POISON, reply=False)
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionStarted)
        assert partitions.dropped == 1
    answer = (await harness.answers())[command]
    assert answer.reason == "NOT_FOUND"
    assert not await harness.dead_letters()


async def test_a_clock_that_jumps_a_day_back_turns_no_time_back(
    harness: Harness,
) -> None:
    """Events of a stream never run backwards, whatever the owner's clock says."""
    async with harness.propeller():
        stream = await harness.create("one", recorded_at_us=harness.clock.now + DAY_US)
        run = await harness.run_of(stream, "n0")
    harness.clock.now -= DAY_US
    async with harness.propeller():
        await harness.send(stream, success(run))
        await harness.run_of(stream, "n1")
    times = [
        event_record.occurred_at_us for event_record in await harness.events(stream)
    ]
    assert times == sorted(times)
    assert times[0] < harness.clock.now + 2 * DAY_US


async def test_a_event_that_cannot_be_read_stops_its_reader(harness: Harness) -> None:
    """Skipping it would corrupt what follows: the propeller ends with a clear word."""
    async with harness.propeller():
        stream = await harness.create("one")
        await harness.until_events(stream, e.ExecutionStarted)
        sequence = len(await harness.events(stream)) + 1
    envelope = Envelope(
        id=f"{stream}/{sequence}", type="?", stream=stream, sequence=sequence
    )
    newer = codec.MARKER + b"\x07" * 8
    spoiled = Record(topic=topics.EVENTS, key=stream, envelope=envelope, body=newer)
    await harness.log.append([spoiled])
    await harness.send(stream, STOP)
    with pytest.raises(
        codec.UndecodableMessageError, match="written by a newer version"
    ):
        async with harness.propeller():
            await harness.until_dead_letters(1)


@pytest.mark.integration
async def test_a_dead_letter_too_large_for_kafka_refers_to_its_bytes(
    kafka_servers: str,
) -> None:
    """Bytes that fill a record alone stay behind; the partition goes on."""
    kind = KafkaKind(kafka_servers)
    limit = 50_000
    kind.settings = kind.settings.model_copy(update={"message_bytes_max": limit})
    harness = Harness(await kind.open())
    try:
        async with harness.propeller():
            body = bytes(limit - 400)
            await harness.send(stream_of("one"), STOP, body=body, reply=False)
            (dead,) = await harness.until_dead_letters(1)
            stream = await harness.create("one")
            await harness.until_events(stream, e.ExecutionStarted)
    finally:
        for log in kind.logs:
            await log.close()
    assert dead.body == b""
    assert f"its {limit - 400} bytes were not copied" in dead.error

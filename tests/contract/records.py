"""Records to append: short ways to say them."""

from __future__ import annotations

from collections.abc import Sequence

from infra.eventlog.contract import Received, Record
from schemas import topics as t
from schemas.envelope import Envelope

STREAM = "execution/p/d/one"


def command(name: str, stream: str = STREAM, body: bytes = b"command") -> Record:
    """A command with this id."""
    return Record(
        topic=t.COMMANDS,
        key=stream,
        envelope=Envelope(id=name, type="flightlog.v1.Command", stream=stream),
        body=body,
    )


def dispatch(name: str, topic: str = t.DISPATCHES) -> Record:
    """Work with this id; or an abort."""
    return Record(
        topic=topic,
        key=f"{STREAM}/n0/0",
        envelope=Envelope(id=name, type="flightlog.v1.Work", stream=STREAM),
        body=b"work",
    )


def event_record(sequence: int, stream: str = STREAM, body: bytes = b"event") -> Record:
    """The event of a stream with this sequence; everything in its envelope is set."""
    return Record(
        topic=t.EVENTS,
        key=stream,
        envelope=Envelope(
            id=f"{stream}/{sequence}",
            type="flightlog.v1.Event",
            stream=stream,
            sequence=sequence,
            correlation="execution/p/d/root",
            causation="c1",
            actor="me",
            recorded_at_us=1_700_000_000_000_000 + sequence,
            reply=sequence == 1,
            traceparent="00-1-2-01",
        ),
        body=body,
    )


def outcome(name: str) -> Record:
    """A record on the events topic that is no event of its stream."""
    return Record(
        topic=t.EVENTS,
        key=STREAM,
        envelope=Envelope(id=name, type="flightlog.v1.CommandRejected", stream=STREAM),
        body=b"no",
    )


def ids(found: Sequence[Received]) -> list[str]:
    """The ids of messages, in their order."""
    return [r.envelope.id for r in found]


def plain(found: Sequence[Received]) -> list[Record]:
    """Messages as they were appended."""
    return [
        Record(topic=r.topic, key=r.key, envelope=r.envelope, body=r.body)
        for r in found
    ]

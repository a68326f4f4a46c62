"""Messages ↔ rows of the log, pure: an event's originator is its stream."""

from __future__ import annotations

import msgspec
from eventsourcing.persistence import StoredEvent

from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope

PARTITION = 0


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """The state of a row: key, body and the envelope's fields that no column has."""

    key: str
    id: str
    type: str
    stream: str
    correlation: str
    causation: str
    actor: str
    recorded_at_us: int
    reply: bool
    traceparent: str
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Stored)


def is_event(record: Record) -> bool:
    """Return whether a record is an event, with a sequence number."""
    return record.topic == topics.EVENTS and record.envelope.sequence > 0


def to_row(record: Record) -> StoredEvent:
    """Return the row of a record.

    The primary key makes a stream's sequence numbers unique; other messages have
    version 0, and their topic and id as originator.
    """
    e = record.envelope
    state = _encoder.encode(
        _Stored(
            record.key, e.id, e.type, e.stream, e.correlation, e.causation, e.actor,
            e.recorded_at_us, e.reply, e.traceparent, record.body,
        )
    )  # fmt: skip
    event = is_event(record)
    return StoredEvent(
        originator_id=e.stream if event else f"{record.topic}:{e.id}",
        originator_version=e.sequence if event else 0,
        topic=record.topic,
        state=state,
    )


def from_row(topic: str, sequence: int, state: bytes, position: int) -> Received:
    """Return the message in a row."""
    s = _decoder.decode(state)
    return Received(
        topic=topic,
        key=s.key,
        envelope=Envelope(
            id=s.id,
            type=s.type,
            stream=s.stream,
            sequence=sequence,
            correlation=s.correlation,
            causation=s.causation,
            actor=s.actor,
            recorded_at_us=s.recorded_at_us,
            reply=s.reply,
            traceparent=s.traceparent,
        ),
        body=s.body,
        partition=PARTITION,
        position=position,
    )

"""Records that leave the propeller: events, what follows from them, and answers."""

from __future__ import annotations

from domain.decider import Outgoing, Send
from infra.eventlog.contract import Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id, event_id
from schemas.messages import dispatches as d
from schemas.messages import outcomes
from schemas.messages.commands import Command
from schemas.messages.node_events import Event
from schemas.messages.rejections import Rejected
from schemas.wire.codec import Codec

Answer = outcomes.CommandRejected | outcomes.CommandHadNoEffect


def event_record(
    messages: Codec, event: Event, cause: Envelope, sequence: int, correlation: str
) -> Record:
    """Return the record of an event; the first one of a command has its `reply`."""
    envelope = Envelope(
        id=event_id(cause.stream, sequence),
        type=messages.type_name(event),
        stream=cause.stream,
        sequence=sequence,
        correlation=correlation,
        causation=cause.id,
        actor=cause.actor,
        recorded_at_us=cause.recorded_at_us,
        reply=cause.reply,
        traceparent=cause.traceparent,
    )
    return Record(
        topic=topics.EVENTS,
        key=cause.stream,
        envelope=envelope,
        body=messages.encode(event),
    )


def outgoing(
    messages: Codec, message: Outgoing, cause: Envelope, number: int
) -> Record:
    """Return the record of what follows from an event; its id derives from the event's.

    `number` is its place among all that follows from the event.
    """
    if isinstance(message, Send):
        topic, stream, key = topics.COMMANDS, message.stream, message.stream
        body: d.Dispatch | Command = message.command
    else:
        topic = topics.ABORTS if isinstance(message, d.AbortTask) else topics.DISPATCHES
        stream = message.stream
        key = attempt_id(message.stream, message.node_id, message.attempt)
        body = message
    return Record(
        topic=topic,
        key=key,
        envelope=Envelope(
            id=f"{cause.id}/{number}",
            type=messages.type_name(body),
            stream=stream,
            correlation=cause.correlation or cause.stream,
            causation=cause.id,
            actor=cause.actor,
            recorded_at_us=cause.recorded_at_us,
            traceparent=cause.traceparent,
        ),
        body=messages.encode(body),
    )


def rejection(cause: Envelope, rejected: Rejected) -> outcomes.CommandRejected:
    """Return the answer to a rejected command."""
    return outcomes.CommandRejected(
        command_id=cause.id,
        command_type=cause.type,
        reason=rejected.reason.value,
        detail=rejected.detail,
    )


def answer(messages: Codec, cause: Envelope, message: Answer, now_us: int) -> Record:
    """Return the record that answers a command without events."""
    return Record(
        topic=topics.EVENTS,
        key=cause.stream,
        envelope=Envelope(
            id=f"{cause.id}/outcome",
            type=messages.type_name(message),
            stream=cause.stream,
            correlation=cause.correlation,
            causation=cause.id,
            actor=cause.actor,
            recorded_at_us=now_us,
            reply=True,
        ),
        body=messages.encode(message),
    )

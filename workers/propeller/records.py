"""The outbox: events, what follows from them, answers and dead letters as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from domain.decider import Outgoing, Send
from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.ids import attempt_id, event_id
from schemas.messages import dispatches as d
from schemas.messages import execution_events as e
from schemas.messages import outcomes
from schemas.messages.rejections import Rejected
from schemas.wire import codec
from workers.dead_letters import dead_letter_record

Answer = outcomes.CommandRejected | outcomes.CommandHadNoEffect


def event_record(
    event: e.ExecutionEvent, cause: Envelope, sequence: int, correlation: str
) -> Record:
    """Return the record of an event; the first one of a command bears its reply."""
    envelope = Envelope(
        id=event_id(cause.stream, sequence),
        type=codec.type_name(event),
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
        body=codec.encode(event),
    )


def outgoing(message: Outgoing, cause: Envelope, number: int) -> Record:
    """Address what follows from an event; its id derives from the event's."""
    if isinstance(message, Send):
        topic, stream, key = topics.COMMANDS, message.stream, message.stream
        body: Any = message.command
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
            type=codec.type_name(body),
            stream=stream,
            correlation=cause.correlation or cause.stream,
            causation=cause.id,
            actor=cause.actor,
            recorded_at_us=cause.recorded_at_us,
            traceparent=cause.traceparent,
        ),
        body=codec.encode(body),
    )


def refusal(cause: Envelope, rejected: Rejected) -> outcomes.CommandRejected:
    """Return what the sender of a refused command is told."""
    return outcomes.CommandRejected(
        command_id=cause.id,
        command_type=cause.type,
        reason=rejected.reason.value,
        detail=rejected.detail,
    )


def answer(cause: Envelope, message: Answer, now_us: int) -> Record:
    """Return the record that ends a command without events."""
    return Record(
        topic=topics.EVENTS,
        key=cause.stream,
        envelope=Envelope(
            id=f"{cause.id}/outcome",
            type=codec.type_name(message),
            stream=cause.stream,
            correlation=cause.correlation,
            causation=cause.id,
            actor=cause.actor,
            recorded_at_us=now_us,
            reply=True,
        ),
        body=codec.encode(message),
    )


def dead_letter(
    received: Received, error: str, now_us: int, refused: Rejected, *, whole: bool
) -> Iterator[Record]:
    """Yield the record that keeps a bad command, and the answer to its sender."""
    yield dead_letter_record(received, error, now_us, with_body=whole)
    cause = received.envelope
    if cause.reply:
        yield answer(cause, refusal(cause, refused), now_us)

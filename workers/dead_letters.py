"""Dead letters: messages that can't be read or handled, stored and redriven."""

from __future__ import annotations

import structlog
from msgspec.structs import replace

from domain.text_limits import ENVELOPE_BYTES_MAX, cut
from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.dead_letters import DeadLetter, DeadLetterRedriven
from schemas.wire import codec

log_ = structlog.get_logger(__name__)

ERROR_BYTES_MAX = 10_000
"""Of the error of a dead letter: it may repeat what the message holds."""


def record_location(received: Received) -> str:
    """Return a message's place on the log; also the id of its dead letter."""
    return f"{received.topic}/{received.partition}/{received.position}"


def shortened(received: Received) -> Received:
    """Return a message without its body, and the beginnings of its texts only."""
    envelope = received.envelope
    texts = {
        name: cut(value, ENVELOPE_BYTES_MAX)
        for name in envelope.__struct_fields__
        if isinstance(value := getattr(envelope, name), str)
    }
    return replace(
        received,
        key=cut(received.key, ENVELOPE_BYTES_MAX),
        envelope=replace(envelope, **texts),
        body=b"",
    )


def dead_letter_record(
    received: Received,
    error: str,
    now_us: int,
    *,
    with_body: bool = True,
    answered: str = "",
) -> Record:
    """Return the record that stores a message as it was received.

    Without its body, and shortened, where the log can't store it a second time.
    `answered` is the stream that is told that it failed, if another one is.
    """
    error = cut(error, ERROR_BYTES_MAX)
    if not with_body:
        error = f"{error} (its {len(received.body)} bytes were not copied)"
        received = shortened(received)
    found, location = received.envelope, record_location(received)
    message = DeadLetter(
        topic=received.topic,
        partition=received.partition,
        position=received.position,
        key=received.key,
        error=error,
        id=found.id,
        type=found.type,
        stream=found.stream,
        correlation=found.correlation,
        causation=found.causation,
        actor=found.actor,
        sent_at_us=found.recorded_at_us,
        traceparent=found.traceparent,
        occurred_at_us=now_us,
        body=received.body,
        answered=answered,
    )
    log_.error("dead_letter", at=location, stream=found.stream, error=error)
    return _record(message, received, location, now_us)


def _record(
    message: DeadLetter, received: Received, location: str, now_us: int
) -> Record:
    found = received.envelope
    return Record(
        topic=topics.DEAD_LETTERS,
        key=received.key,
        envelope=Envelope(
            id=location,
            type=codec.type_name(message),
            stream=found.stream,
            correlation=found.correlation,
            causation=found.id,
            recorded_at_us=now_us,
            traceparent=found.traceparent,
        ),
        body=codec.encode(message),
    )


def redriven_record(dead: DeadLetter, dead_letter_id: str, now_us: int) -> Record:
    """Return the message of a dead letter, to be appended to its topic again.

    Under a new id: the old one is on the log, and its sender has an answer.
    """
    return Record(
        topic=dead.topic,
        key=dead.key,
        envelope=Envelope(
            id=redriven_id(dead_letter_id),
            type=dead.type,
            stream=dead.stream,
            correlation=dead.correlation,
            causation=dead.id,
            actor=dead.actor,
            recorded_at_us=now_us,
            traceparent=dead.traceparent,
        ),
        body=dead.body,
        partition=dead.partition if not dead.key else None,
    )


def redriven_id(dead_letter_id: str) -> str:
    """Return the id that the message of a dead letter has when it is redriven."""
    return f"{dead_letter_id}/redriven"


def redrive_marker(
    dead_letter_id: str, dead: DeadLetter, principal: str, now_us: int
) -> Record:
    """Return the record that marks a dead letter as redriven."""
    message = DeadLetterRedriven(
        letter=dead_letter_id, principal=principal, occurred_at_us=now_us
    )
    return Record(
        topic=topics.DEAD_LETTERS,
        key=dead.key,
        envelope=Envelope(
            id=f"{dead_letter_id}/note",
            type=codec.type_name(message),
            stream=dead.stream,
            causation=dead_letter_id,
            actor=principal,
            recorded_at_us=now_us,
        ),
        body=codec.encode(message),
    )

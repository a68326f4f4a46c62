"""Dead letters: what can't be read or handled, put aside; and put back."""

from __future__ import annotations

import structlog

from infra.eventlog.contract import Received, Record
from schemas import topics
from schemas.envelope import Envelope
from schemas.messages.dead_letters import DeadLetter, DeadLetterRedriven
from schemas.wire import codec

log_ = structlog.get_logger(__name__)


def place(received: Received) -> str:
    """Return where a message lies on the log; that is its letter's id, too."""
    return f"{received.topic}/{received.partition}/{received.position}"


def letter(
    received: Received, error: str, now_us: int, *, whole: bool = True
) -> Record:
    """Return the record that keeps a message as it came.

    If it isn't `whole`, its bytes stay behind: the log can't keep them twice.
    """
    found = received.envelope
    message = DeadLetter(
        topic=received.topic,
        partition=received.partition,
        position=received.position,
        key=received.key,
        error=error
        if whole
        else f"{error} (its {len(received.body)} bytes stay there)",
        id=found.id,
        type=found.type,
        stream=found.stream,
        correlation=found.correlation,
        causation=found.causation,
        actor=found.actor,
        sent_at_us=found.recorded_at_us,
        traceparent=found.traceparent,
        occurred_at_us=now_us,
        body=received.body if whole else b"",
    )
    log_.error("dead_letter", at=place(received), stream=found.stream, error=error)
    return Record(
        topic=topics.DEAD_LETTERS,
        key=received.key,
        envelope=Envelope(
            id=place(received),
            type=codec.type_name(message),
            stream=found.stream,
            correlation=found.correlation,
            causation=found.id,
            recorded_at_us=now_us,
            traceparent=found.traceparent,
        ),
        body=codec.encode(message),
    )


def back(dead: DeadLetter, letter_id: str, now_us: int) -> Record:
    """Return the message of a letter, as it goes back to its topic.

    Its id is a new one: the old one is on the log, and its sender has an answer.
    """
    return Record(
        topic=dead.topic,
        key=dead.key,
        envelope=Envelope(
            id=f"{letter_id}/redriven",
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


def note(letter_id: str, dead: DeadLetter, principal: str, now_us: int) -> Record:
    """Return the record that tells that a letter was put back."""
    message = DeadLetterRedriven(
        letter=letter_id, principal=principal, occurred_at_us=now_us
    )
    return Record(
        topic=topics.DEAD_LETTERS,
        key=dead.key,
        envelope=Envelope(
            id=f"{letter_id}/note",
            type=codec.type_name(message),
            stream=dead.stream,
            causation=letter_id,
            actor=principal,
            recorded_at_us=now_us,
        ),
        body=codec.encode(message),
    )

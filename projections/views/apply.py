"""What each message of the events topic changes in the read models; pure."""

from __future__ import annotations

import msgspec

from projections.rows import JournalRow, Outcome
from projections.views import (
    catalog,
    deletions,
    executions,
    journal,
    nodes,
    signals,
    tasks,
)
from projections.views.changes import ApplyAny, Changes, time_of
from schemas.envelope import Envelope
from schemas.messages.node_events import Event
from schemas.messages.outcomes import CommandHadNoEffect, CommandRejected

APPLY: dict[type, ApplyAny] = {
    **executions.APPLY,
    **nodes.APPLY,
    **tasks.APPLY,
    **catalog.APPLY,
    **signals.APPLY,
    **deletions.APPLY,
}


def apply(changes: Changes, envelope: Envelope, message: msgspec.Struct) -> None:
    """Add what a message changes; KeyError for one that is no event of an execution."""
    match message:
        case CommandRejected():
            changes.outcomes[message.command_id] = Outcome(
                command_id=message.command_id,
                kind="rejected",
                reason=message.reason,
                detail=message.detail,
            )
        case CommandHadNoEffect():
            changes.outcomes[message.command_id] = Outcome(
                command_id=message.command_id, kind="no_effect"
            )
        case Event():
            _apply_event(changes, envelope, message)
        case _:
            raise KeyError(type(message).__name__)


def _apply_event(changes: Changes, envelope: Envelope, event: Event) -> None:
    if envelope.reply:
        changes.outcomes[envelope.causation] = Outcome(
            command_id=envelope.causation, kind="done", event_id=envelope.id
        )
    at = time_of(event.occurred_at_us)
    APPLY[type(event)](changes, envelope, event, at)
    line = JournalRow(
        stream=envelope.stream,
        sequence=envelope.sequence,
        type=type(event).__name__,
        occurred_at=at,
        subject=journal.subject(event),
        summary=journal.summary(event),
    )
    changes.journal.append(line)

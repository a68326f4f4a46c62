"""Applying: which change of the views each message of the events topic is; pure."""

from __future__ import annotations

from typing import Any

from projections.views import (
    catalog,
    deletions,
    executions,
    journal,
    nodes,
    signals,
    tasks,
)
from projections.views.changes import Apply, Changes, time_of
from schemas.envelope import Envelope
from schemas.messages import outcomes

APPLY: dict[type, Apply] = {
    **executions.APPLY,
    **nodes.APPLY,
    **tasks.APPLY,
    **catalog.APPLY,
    **signals.APPLY,
    **deletions.APPLY,
}


def take(changes: Changes, envelope: Envelope, message: Any) -> None:
    """Take one message up; KeyError for one that is no event of an execution."""
    match message:
        case outcomes.CommandRejected():
            rejected = ("rejected", "", message.reason, message.detail)
            changes.outcomes[message.command_id] = rejected
            return
        case outcomes.CommandHadNoEffect():
            changes.outcomes[message.command_id] = ("no_effect", "", "", "")
            return
    if envelope.reply:
        changes.outcomes[envelope.causation] = ("done", envelope.id, "", "")
    at = time_of(message.occurred_at_us)
    APPLY[type(message)](changes, envelope, message, at)
    changes.journal.append(
        (
            envelope.stream,
            envelope.sequence,
            type(message).__name__,
            at,
            journal.subject(message),
            journal.summary(message),
        )
    )

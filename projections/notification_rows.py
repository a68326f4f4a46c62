"""The rows of the notifier: what it remembers of executions, and its deliveries.

They are no read models: a replay neither fills nor empties them, so it sends nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from domain.notifying.live_execution import LiveExecution
from domain.notifying.notice import Action, Notice
from domain.notifying.subjects import Subject
from projections.columns import Stored
from projections.table import Table

_Key = Annotated[str, Stored.KEY]


class DeliveryState(StrEnum):
    """How far a delivery is."""

    DUE = "due"
    """To be sent at `next_at`, for the first time or again."""
    CLAIMED = "claimed"
    """Somebody sends it, until `next_at` at most."""
    SENT = "sent"
    DEAD = "dead"
    """Given up; `reason` says why."""
    SUPERSEDED = "superseded"
    """An alert that was resolved before it was raised, or its resolution."""
    EXPIRED = "expired"
    """Too old when it was read, or when its channel came back."""


OPEN = (DeliveryState.DUE, DeliveryState.CLAIMED)


class NotifyExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    """A live execution that something could be due for; late from `late_at` on."""

    stream: _Key
    log_partition: int
    live: LiveExecution
    late_at: datetime | None = None


NOTIFY_EXECUTIONS = Table(
    "notify_executions", NotifyExecutionRow, ("stream",), replaces=True
)


class NotifySubjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a launch plan for a rule."""

    rule: _Key
    launch_plan: _Key
    subject: Subject


NOTIFY_SUBJECTS = Table(
    "notify_subjects", NotifySubjectRow, ("rule", "launch_plan"), replaces=True
)


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery: see domain.notifying.notice.Delivery.

    `tries` counts them with the current one, which is `owner`'s; `reference` is what
    the provider calls the message, `reason` the last answer that wasn't a success.
    `maybe_repeated`: a try before may have sent it. `recipients`, a line each, are
    those that are left of a mail that others have.
    """

    id: _Key
    channel: str
    rule: str
    stream: _Key
    event_id: _Key
    subject: _Key
    action: Action
    notice: Notice
    state: DeliveryState = DeliveryState.DUE
    tries: int = 0
    owner: str = ""
    due_at: datetime
    next_at: datetime
    sent_at: datetime | None = None
    reference: str = ""
    reason: str = ""
    recipients: str = ""
    maybe_repeated: bool = False


DELIVERIES = Table("notify_deliveries", DeliveryRow, ("id",))

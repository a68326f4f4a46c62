"""What a notification says, as its row keeps it until it is sent; pure."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

from domain.notifying.live_execution import LiveExecution
from domain.notifying.mails import Mail
from schemas.phases import ExecutionPhase
from schemas.values import Failure

Reason: TypeAlias = Literal[
    "ended",
    "first_failure",
    "failures_in_a_row",
    "recovered",
    "running_long",
    "system_retries",
    "parked",
    "test",
]
"""Why somebody is told."""
Action: TypeAlias = Literal["tell", "resolve"]
"""Tell somebody, or resolve the alert that was raised before."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an execution when somebody is to be told of it.

    `at_us` is when that happened. `failures` counts those in a row with this one,
    `failing_since_us` is when the first of them ended, `usual_us` how long it usually
    runs. `limit_us` is how long it may run, `error` why it is parked.
    """

    reason: Reason
    live: LiveExecution
    at_us: int
    phase: ExecutionPhase | None = None
    failure: Failure | None = None
    cause: str = ""
    previous: ExecutionPhase | None = None
    failures: int = 0
    failing_since_us: int | None = None
    usual_us: int | None = None
    limit_us: int | None = None
    error: str = ""
    mail: Mail | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that one channel must carry.

    `subject` is what fails or recovers, the same for all of its executions: what has
    one goes out in order on channels that need it. `refused` is why it can't be
    delivered, '' if it can.
    """

    id: str
    channel: str
    rule: str
    stream: str
    event_id: str
    subject: str
    action: Action = "tell"
    notice: Notice
    refused: str = ""


def delivery_id(event_id: str, rule: str, channel: str) -> str:
    """Return a delivery's id; it is the same whenever the event is read again."""
    return f"{event_id}/{rule}/{channel}"


def message_id(delivery: str) -> str:
    """Return the key by which receivers recognise a repeat: without dots."""
    return f"msg_{sha256(delivery.encode()).hexdigest()[:32]}"

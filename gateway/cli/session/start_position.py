"""The position on the log where a command begins: that of a time, or one given."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.session.session import Session
from projections.projector.start_position import ReplayStart
from schemas import topics

_SECOND_US = 1_000_000
_SKEW_US = 10 * _SECOND_US
"""The broker's timestamps may differ from those of events by this much."""


async def parse_start(session: Session, text: str) -> ReplayStart:
    """Return the start at a time (ISO 8601, UTC by default) or at a position.

    A position applies to every partition. Raises CommandError for any other text.
    """
    if text.isdecimal():
        end = await session.log.end_positions((topics.EVENTS,))
        return ReplayStart({partition: int(text) for partition in end})
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        message = (
            f"Expected a time like 2030-12-31T23:59 or a position, but got '{text}'"
        )
        raise CommandError(message, ExitCode.USAGE) from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    at_us = round(at.timestamp() * _SECOND_US)
    return ReplayStart(await session.log.since(max(at_us - _SKEW_US, 0)), at_us)

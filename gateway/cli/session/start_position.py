"""Where a command begins on the log: at a time, or at a position."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.cli.errors import CommandError, ExitCode
from gateway.cli.session.session import Session
from projections.projector.start_position import ReplayStart
from schemas import topics

_SECOND_US = 1_000_000
_SKEW_US = 10 * _SECOND_US
"""A log's own times, by which places are found, may be this much off an event's."""


async def since_of(session: Session, text: str) -> ReplayStart:
    """Return what is after a time (ISO 8601, UTC unless it says) or after a position.

    A position is one for every partition, as offsets on Kafka are of their own.
    """
    if text.isdecimal():
        end = await session.log.end((topics.EVENTS,))
        return ReplayStart({partition: int(text) for partition in end})
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        words = f"Expected a time like 2030-12-31T23:59 or a position, but got '{text}'"
        raise CommandError(words, ExitCode.USAGE) from error
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    at_us = round(at.timestamp() * _SECOND_US)
    return ReplayStart(await session.log.since(max(at_us - _SKEW_US, 0)), at_us)

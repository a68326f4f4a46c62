"""What outages of disk and blob store mean for attempts: they start later, or again."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from infra.blobs.files import is_disk_error
from infra.clock import Clock
from infra.errors import Dependency, TransientError
from infra.outages import OUTAGES, Outages
from schemas.values import ErrorKind
from workers.plugins.plugin import Failed, Result, system_retryable_failure

log_ = structlog.get_logger(__name__)

_NEEDED = (Dependency.DISK, Dependency.BLOBS)
"""Tasks use these themselves: they can't wait, and fail."""
_POLL_S = 0.2
_NO_ROOM = ("No space left on device", "Errno 28", "Disk quota exceeded")
_UNEXPLAINED = frozenset({"Error", "OutputsNotFound", "ErrorFileBadFormat"})
"""Failures of processes that left no error document."""


def log_unexpected(event: str, error: Exception, attempt: str) -> None:
    """Log what a plugin raised: with its trace, unless it met an outage."""
    if isinstance(error, TransientError) or is_disk_error(error):
        log_.warning(event, attempt=attempt, error=str(error))
    else:
        log_.error(event, attempt=attempt, exc_info=error)


@dataclass(frozen=True, slots=True)
class OutagePolicy:
    """Keeps outages from costing a user's retries."""

    clock: Clock
    outages: Outages = field(default_factory=lambda: OUTAGES)

    async def wait_to_start(self) -> None:
        """Return once tasks can write files and reach the blob store."""
        while any(self.outages.is_away(what) for what in _NEEDED):
            await self.clock.sleep(_POLL_S)

    def explain(self, result: Result, began_s: float) -> Result:
        """Return a result, as a failure of the system if an outage caused it.

        `began_s` is the monotonic time of the attempt's start. What a task says in an
        error document is its own word, unless that is about a full disk.
        """
        if not isinstance(result, Failed) or result.failure.kind is ErrorKind.SYSTEM:
            return result
        met = [what for what in _NEEDED if self.outages.was_away_since(what, began_s)]
        if not met:
            return result
        message, code = result.failure.message, result.failure.code
        if code not in _UNEXPLAINED and not any(text in message for text in _NO_ROOM):
            return result
        where = " and ".join(met)
        return system_retryable_failure(
            "Interrupted", f"It failed while {where} was away: {message}"
        )

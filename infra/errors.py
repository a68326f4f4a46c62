"""What can fail outside the engine.

InfraError
├── TransientError   it may work later: retry, within limits
├── ConflictError    another writer was first: load and decide again
├── FencedError      another process owns the log or partition: stop
│   └── GivenUpError another process should own it: leave it to that one
├── PositionLostError  messages were deleted before they were read: ask an operator
└── PermanentError   retrying can't help
"""

from __future__ import annotations

from enum import StrEnum


class Dependency(StrEnum):
    """What the engine needs, and goes on after having been without."""

    POSTGRES = "Postgres"
    KAFKA = "Kafka"
    BLOBS = "the blob store"
    DISK = "the disk"


class InfraError(Exception):
    """Something outside the engine failed."""


class TransientError(InfraError):
    """It can't be reached, or is busy, for a while; `of` says what, if known."""

    def __init__(self, message: str = "", of: Dependency | None = None) -> None:
        """Say what happened."""
        super().__init__(message)
        self.of = of


class ConflictError(InfraError):
    """Another writer appended to the stream first."""


class FencedError(InfraError):
    """Another process owns the log or the partition now."""


class GivenUpError(FencedError):
    """Another process can go on with the partition, while this one can't."""


class PositionLostError(InfraError):
    """Messages may have been deleted unread: an operator decides how to go on."""


class PermanentError(InfraError):
    """Retrying can't help."""

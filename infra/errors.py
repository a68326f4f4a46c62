"""What can go wrong with the outside world.

InfraError
├── Transient   passes by itself: wait and try again, within bounds
├── Conflict    somebody else wrote first: load again, decide again
├── Fenced      another engine owns this log: stop
└── Permanent   trying again can't help
"""

from __future__ import annotations


class InfraError(Exception):
    """Something outside failed."""


class TransientError(InfraError):
    """The outside is away for a while."""


class ConflictError(InfraError):
    """Somebody else wrote to the stream first."""


class FencedError(InfraError):
    """Another engine has taken the log over."""


class PermanentError(InfraError):
    """Trying again can't help."""

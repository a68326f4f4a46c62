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


class Transient(InfraError):  # noqa: N818 - a kind of condition, drawn above
    """The outside is away for a while."""


class Conflict(InfraError):  # noqa: N818
    """Somebody else wrote to the stream first."""


class Fenced(InfraError):  # noqa: N818
    """Another engine has taken the log over."""


class Permanent(InfraError):  # noqa: N818
    """Trying again can't help."""

"""Format levels: what every process must be able to read before anything writes it.

Level 0 are all messages and versions that were there before levels. Each new message,
or version of one, belongs to a later level (`schemas/wire/registry.py`), and is written
once the version gate has opened that level. Levels that were released never change.
"""

from __future__ import annotations

FORMAT_LEVEL = 2
"""The newest level that this build reads and, once it is open, writes."""

ANSWERED_DEAD_LETTERS = 2
"""From this level on a dead letter says who was told that its message failed."""

INLINE_BUDGETS = 2
"""From this level on runners are told when an execution's inline budget is used up."""

EXECUTION_RULES = 2
"""The rules of executions that begin now, and the level that they need."""

UNIQUE_NODE_IDS = 2
"""The rules from which on a node whose id another node has gets a longer one."""


def newest_level() -> int:
    """Return the newest format level, where no gate holds it back."""
    return FORMAT_LEVEL


def execution_rules(format_level: int) -> int:
    """Return by which rules an execution begins while this format level is open."""
    return EXECUTION_RULES if format_level >= EXECUTION_RULES else 0

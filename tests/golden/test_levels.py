"""Format levels: what a released level brought never changes."""

from __future__ import annotations

import pytest

from schemas.levels import FORMAT_LEVEL
from schemas.wire import registry

RELEASED = {1: {"flightlog.v3.ExecutionCreated"}}
"""The messages of each level that a version before this one opens."""


@pytest.mark.parametrize("level", RELEASED)
def test_a_released_level_brings_no_more(level: int) -> None:
    """The version before reads that level: what it doesn't know needs a later one."""
    found = {entry.name for entry in registry.ENGINE.entries if entry.level == level}

    assert found == RELEASED[level], (
        f"Expected new messages at level {FORMAT_LEVEL}: the version before opens "
        f"level {level}, and would be sent them"
    )


def test_the_newest_level_is_a_later_one() -> None:
    """Else a process of the version before would count as one that knows it all."""
    assert max(RELEASED) < FORMAT_LEVEL
    assert max(entry.level for entry in registry.ENGINE.entries) <= FORMAT_LEVEL

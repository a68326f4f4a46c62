"""Time is that of a virtual event loop here: the engine's own clocks show it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _only_virtual_time() -> None:
    """Replace what the folder above forbids: the loop itself is virtual."""

"""How long faults last: seconds in `make test`, minutes in `make endurance`."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("TESTS_ENDURANCE") == "long"


def chosen(short: float, long: float) -> float:
    """Return the duration for this run."""
    return long if IS_LONG else short

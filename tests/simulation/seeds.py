"""Seeds of the simulation: some in every run of the tests, many where time allows.

TESTS_SEEDS multiplies how many seeds each test has; `make endurance` sets it.
"""

from __future__ import annotations

import os

VARIABLE = "TESTS_SEEDS"


def seeds(count: int) -> range:
    """Return the seeds of a test that has so many in every run."""
    return range(count * int(os.environ.get(VARIABLE, "1")))

"""Variables of processes whose coverage isn't measured.

Measuring doubles what a process costs, and one that is killed leaves nothing: tests
that kill or load many of them go without.
"""

from __future__ import annotations

from collections.abc import Mapping

UNMEASURED: Mapping[str, str] = {
    "COVERAGE_PROCESS_START": "",
    "COVERAGE_PROCESS_CONFIG": "",
}

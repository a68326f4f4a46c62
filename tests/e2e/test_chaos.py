"""A short chaos run; `python -m tests.chaos` does long ones."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import text
from tests.chaos.run import run

FAULTS = 10

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_faults_from_a_seed_lose_and_double_nothing() -> None:
    """Roles, brokers and Postgres die or freeze; results, log and views are right."""
    report = run(seed=886, faults=FAULTS)
    print(text(report))

    assert report.wrong == []
    assert sum(report.faults.values()) == FAULTS

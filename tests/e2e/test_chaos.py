"""A short chaos run; `python -m tests.chaos` does long ones."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import text
from tests.chaos.run import run

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_faults_from_a_seed_lose_and_double_nothing() -> None:
    """Roles, broker and Postgres die or freeze; results, log and views are right."""
    report = run(seed=5, executions=15, faults=5)
    print(text(report))

    assert report.wrong == []
    assert sum(report.faults.values()) == 5

"""Projectors on a real Postgres, in virtual time: the rows are what the events make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.cluster import read_models
from tests.simulation.seeds import seeds
from tests.support.virtual.loop import run

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("seed", seeds(3))
def test_projectors_lose_and_double_no_rows(seed: int, tmp_path: Path) -> None:
    """They are killed, frozen inside transactions, replaced and added."""
    assert run(read_models.projectors_in_a_storm(seed, tmp_path)) == [], f"seed {seed}"

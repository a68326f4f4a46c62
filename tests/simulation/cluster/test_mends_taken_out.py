"""Each mend is needed: without it its seed shows the fault, with it none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.cluster.mends import MENDS, Mend
from tests.simulation.seeds import seeds
from tests.support.virtual.loop import run

pytestmark = pytest.mark.integration

EACH = pytest.mark.parametrize(
    "mend", MENDS, ids=lambda mend: mend.what.replace(" ", "-")
)


@EACH
def test_without_it_the_seed_fails(
    mend: Mend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulation finds the fault: it can happen, and is seen."""
    mend.take_out(monkeypatch)
    assert run(mend.wrong(mend.seed, tmp_path)) != []


@EACH
@pytest.mark.parametrize("further", seeds(1))
def test_with_it_the_seed_is_right(mend: Mend, further: int, tmp_path: Path) -> None:
    """The same seed, and further ones, with everything in its place."""
    assert run(mend.wrong(mend.seed + further, tmp_path)) == []

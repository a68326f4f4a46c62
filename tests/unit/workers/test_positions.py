"""Positions: what was taken in order is settled in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.positions import Positions


@given(
    taken=st.lists(st.integers(1, 1000), unique=True).map(sorted),
    data=st.data(),
)
def test_nothing_open_is_passed_over(taken: list[int], data: st.DataObject) -> None:
    """The settled position lies before all that is open, and as far as it can."""
    positions = Positions(0)
    for position in taken:
        positions.take(position)
    for position in data.draw(st.permutations(taken)):
        positions.settle((position,))
        positions.settle((position,))
        still = [p for p in taken if p in positions._open]
        assert positions.settled == (still[0] - 1 if still else taken[-1])
    assert len(positions) == 0

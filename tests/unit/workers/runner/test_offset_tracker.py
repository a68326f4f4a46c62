"""Positions: what was taken in order is settled in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.runner.offset_tracker import Positions


@given(
    taken=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 1000)), unique=True).map(
        sorted
    ),
    data=st.data(),
)
def test_nothing_open_is_passed_over(
    taken: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The settled position lies before all that is open, and as far as it can."""
    positions = Positions()
    for place in taken:
        assert positions.take(place)
        assert not positions.take(place)
    still = list(taken)
    for place in data.draw(st.permutations(taken)):
        positions.settle((place,))
        positions.settle((place,))
        still.remove(place)
        for number, settled in positions.settled.items():
            mine = [p for n, p in still if n == number]
            last = max(p for n, p in taken if n == number)
            assert settled == (mine[0] - 1 if mine else last)
    assert len(positions) == 0
    assert positions.settled.keys() == {number for number, _ in taken}


def test_what_was_never_taken_is_settled_without_trace() -> None:
    """Places of partitions that were never read change nothing."""
    positions = Positions()
    positions.settle([(3, 7)])
    assert positions.settled == {}

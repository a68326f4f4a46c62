"""Offsets: records are read in order, and handled in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.runner.offset_tracker import OffsetTracker


@given(
    read=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 1000)), unique=True).map(
        sorted
    ),
    data=st.data(),
)
def test_nothing_in_flight_is_passed_over(
    read: list[tuple[int, int]], data: st.DataObject
) -> None:
    """The committable position is before all that is in flight, as far as it can be."""
    tracker = OffsetTracker()
    for location in read:
        assert tracker.track(location, location[1])
        assert not tracker.track(location, 7)
    in_flight = list(read)
    for location in data.draw(st.permutations(read)):
        tracker.mark_handled((location,))
        tracker.mark_handled((location,))
        in_flight.remove(location)
        assert tracker.size == sum(position for _, position in in_flight)
        for number, committable in tracker.committable.items():
            mine = [p for n, p in in_flight if n == number]
            last = max(p for n, p in read if n == number)
            assert committable == (mine[0] - 1 if mine else last)
    assert len(tracker) == 0
    assert tracker.committable.keys() == {number for number, _ in read}


def test_what_was_never_read_is_ignored() -> None:
    """Locations of partitions that were never read change nothing."""
    tracker = OffsetTracker()
    tracker.mark_handled([(3, 7)])
    assert tracker.committable == {}
